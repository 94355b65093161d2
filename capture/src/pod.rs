//! Finds the pod of a cgroup by its path, as kubelet's cgroup drivers name it.

/// The pod that owns a cgroup: its `metadata.uid`, or the config hash of a static pod.
///
/// The driver `systemd` writes `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/<container>.scope`
/// with `_` for each `-` of the uid; `cgroupfs` writes `kubepods/burstable/pod<uid>/<container>`. Guaranteed pods have no
/// folder for the quality of service. `--cgroup-root` adds folders, and with systemd also a prefix, before `kubepods`.
/// Cgroups that a container creates below its own belong to the pod too.
#[must_use]
pub fn uid(path: &str) -> Option<String> {
    let mut below_kubepods = false;
    for folder in path.split('/') {
        if let Some(slice) = folder.strip_suffix(".slice") {
            if let Some(uid) = uid_of_slice(slice) {
                return Some(uid);
            }
        } else if below_kubepods
            && let Some(uid) = folder.strip_prefix("pod")
            && is_uid(uid)
        {
            return Some(uid.to_owned());
        }
        below_kubepods |= folder == "kubepods";
    }
    None
}

/// Accepts `kubepods-pod<uid>`, `kubepods-besteffort-pod<uid>`, and a prefix as in `kubelet-kubepods-besteffort-pod<uid>`.
fn uid_of_slice(slice: &str) -> Option<String> {
    let (above, uid) = slice.rsplit_once("-pod")?;
    let above = above.strip_suffix("-besteffort").or_else(|| above.strip_suffix("-burstable")).unwrap_or(above);
    let is_kubepods = above == "kubepods" || above.ends_with("-kubepods");
    (is_kubepods && is_uid(uid)).then(|| uid.replace('_', "-"))
}

fn is_uid(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "6f1c7b0e-0a52-4d1e-9d39-0242ac120002";
    const SYSTEMD_UID: &str = "6f1c7b0e_0a52_4d1e_9d39_0242ac120002";
    const HASH: &str = "8ce9f1a2d3b4c5e6f708192a3b4c5d6e";

    #[test]
    fn the_pod_is_found_in_every_layout_of_kubelet() {
        let id = "b1946ac92492d2347c6235b4d2611184";
        for path in [
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SYSTEMD_UID}.slice/cri-containerd-{id}.scope"
            ),
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SYSTEMD_UID}.slice/crio-{id}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/cri-containerd-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{SYSTEMD_UID}.slice/cri-containerd-{id}.scope"
            ),
            format!("/kubepods/burstable/pod{UID}/{id}"),
            format!("/kubepods/besteffort/pod{UID}/{id}"),
            format!("/kubepods/pod{UID}/{id}"),
            format!("/kubepods/pod{UID}/crio-{id}"),
            format!("/kubelet/kubepods/pod{UID}/{id}"),
            format!("/kubepods/besteffort/pod{UID}/{id}/init.scope"),
            format!("/kubepods/besteffort/pod{UID}/{id}/system.slice/nginx.service"),
            format!("/kubepods.slice/kubepods-pod{SYSTEMD_UID}.slice/crio-{id}.scope/container/nested"),
            format!("kubepods/besteffort/pod{UID}"),
        ] {
            assert_eq!(uid(&path).as_deref(), Some(UID), "{path}");
        }
    }

    #[test]
    fn a_static_pod_is_identified_by_its_config_hash() {
        for path in [
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{HASH}.slice/cri-containerd-0.scope"
            ),
            format!("/kubepods/burstable/pod{HASH}/0"),
        ] {
            assert_eq!(uid(&path).as_deref(), Some(HASH), "{path}");
        }
    }

    #[test]
    fn a_pod_inside_a_pod_belongs_to_the_outer_pod() {
        let path = format!("/kubepods/besteffort/pod{UID}/0/kubepods/besteffort/pod{HASH}/1");
        assert_eq!(uid(&path).as_deref(), Some(UID));
    }

    #[test]
    fn other_cgroups_belong_to_no_pod() {
        for path in [
            "",
            "/",
            "/kubepods",
            "/kubepods.slice",
            "/kubepods.slice/kubepods-burstable.slice",
            "/kubepods/besteffort",
            "/kubepods/besteffort/pod",
            "/system.slice/kubelet.service",
            "/system.slice/podman-1.slice",
            "/machine.slice/libpod-0123.scope",
            "/user.slice/pod1234",
            "/kubepods.slice/kubepods-pod.slice",
            "/kubepods.slice/other-pod12.slice",
        ] {
            assert_eq!(uid(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_paths_never_panic(path in ".{0,200}") {
            let _ = uid(&path);
        }

        #[test]
        fn paths_made_of_the_pieces_never_panic(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec!["kubepods", ".slice", "-pod", "pod", "/", "-burstable", "_", "1", "é"]), 0..12),
        ) {
            let _ = uid(&pieces.concat());
        }
    }
}
