//! Lists by key.

use std::collections::HashMap;
use std::hash::Hash;

/// Removes entries from the list of a key, and the key if its list becomes empty.
pub(super) fn remove_from_list<K: Eq + Hash, T>(lists: &mut HashMap<K, Vec<T>>, key: &K, is_gone: impl Fn(&T) -> bool) {
    let Some(list) = lists.get_mut(key) else { return };
    list.retain(|it| !is_gone(it));
    if list.is_empty() {
        lists.remove(key);
    }
}
