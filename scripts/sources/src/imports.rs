//! Imports of a crate that break its order.
//!
//! Two rules:
//!
//! - *Order.* In a crate whose folders have an order (`scripts/import-order.txt`), a folder uses only folders before it.
//! - *No circles.* The modules of one parent, each with everything below it, do not use each other in a circle. Between a
//!   module and its own children both directions are allowed: a parent calls its parts, and they use the types that it declares.
//!   The table may allow a circle of two modules, with a reason; once there is no such circle, the exception is a fault.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::modules::{self, Import, Module};
use crate::order::Sources;

/// A message for each violation, with file, line, import and rule.
#[must_use]
pub fn faults(sources: &Sources, files: &[(String, String)]) -> Vec<String> {
    let all = modules::all(files.iter().map(|(file, _)| file.as_str()));
    let imports: Vec<Import> = files.iter().flat_map(|(file, source)| modules::imports(file, source, &all)).collect();
    let mut faults = Vec::new();
    if !sources.folders.is_empty() {
        faults.extend(strays(sources, files));
        faults.extend(against_the_order(sources, &imports));
    }
    faults.extend(circles(sources, &imports));
    faults
}

fn place(sources: &Sources, import: &Import) -> String {
    format!("{}/{}:{}: {}", sources.path, import.file, import.line, import.path)
}

/// Files that are in no folder of the order.
fn strays(sources: &Sources, files: &[(String, String)]) -> Vec<String> {
    let is_stray = |file: &str| match &modules::of_file(file).unwrap_or_default()[..] {
        [] => false,
        [folder, ..] => !sources.folders.iter().any(|known| known.name == *folder),
    };
    let strays = files.iter().filter(|(file, _)| is_stray(file));
    strays.map(|(file, _)| format!("{}/{file}: the file is in no folder of the order", sources.path)).collect()
}

fn against_the_order(sources: &Sources, imports: &[Import]) -> Vec<String> {
    let mut faults = Vec::new();
    for import in imports {
        if let ([from, ..], [to, ..]) = (&import.from[..], &import.to[..])
            && let Some(rule) = sources.forbids(from, to)
        {
            faults.push(format!("{}: {rule}", place(sources, import)));
        }
    }
    faults
}

/// For each module, the modules beside it that it uses, and the first import of each.
type Graph<'i> = BTreeMap<Module, BTreeMap<Module, &'i Import>>;

fn circles(sources: &Sources, imports: &[Import]) -> Vec<String> {
    // The graph of each parent's children.
    let mut levels: BTreeMap<Module, Graph<'_>> = BTreeMap::new();
    let mut seen: BTreeSet<[String; 2]> = BTreeSet::new();
    for import in imports {
        let common = import.from.iter().zip(&import.to).take_while(|(from, to)| from == to).count();
        if common == import.from.len() || common == import.to.len() {
            continue;
        }
        let [from, to] = [&import.from, &import.to].map(|module| module[..=common].to_vec());
        let names = [from.join("::"), to.join("::")];
        let is_allowed = sources.circles.iter().any(|pair| sorted(pair.clone()) == sorted(names.clone()));
        seen.insert(names);
        if is_allowed {
            continue;
        }
        let graph = levels.entry(import.from[..common].to_vec()).or_default();
        graph.entry(from).or_default().entry(to).or_insert(import);
    }
    let mut faults = Vec::new();
    for [one, other] in &sources.circles {
        let is_there = |from: &String, to: &String| seen.contains(&[from.clone(), to.clone()]);
        if !(is_there(one, other) && is_there(other, one)) {
            faults.push(format!("{}: `{one}`, `{other}` are not a circle: remove the exception", sources.path));
        }
    }
    for (level, graph) in &levels {
        // The order of folders forbids circles of folders already.
        if level.is_empty() && !sources.folders.is_empty() {
            continue;
        }
        let mut shown = BTreeSet::new();
        for start in graph.keys() {
            let Some(circle) = shortest_circle(graph, start) else { continue };
            let members: BTreeSet<Module> = circle.iter().map(|(module, _)| module.clone()).collect();
            if shown.insert(members.clone()) {
                let names: Vec<String> = members.iter().map(|module| format!("`{}`", module.join("::"))).collect();
                let steps = circle.iter().map(|(_, import)| format!("\n    {}", place(sources, import)));
                faults.push(format!(
                    "{}: {} are modules of one parent and use each other in a circle:{}",
                    sources.path,
                    names.join(", "),
                    steps.collect::<String>()
                ));
            }
        }
    }
    faults
}

fn sorted(mut pair: [String; 2]) -> [String; 2] {
    pair.sort();
    pair
}

/// The shortest circle through a module, if there is one: each of its modules, with the import of the next.
fn shortest_circle<'i>(graph: &Graph<'i>, start: &Module) -> Option<Vec<(Module, &'i Import)>> {
    let mut came_from: BTreeMap<&Module, (&Module, &'i Import)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for (next, &import) in graph.get(module).into_iter().flatten() {
            if came_from.contains_key(next) {
                continue;
            }
            came_from.insert(next, (module, import));
            if next == start {
                return Some(way_back(&came_from, start));
            }
            queue.push_back(next);
        }
    }
    None
}

fn way_back<'i>(came_from: &BTreeMap<&Module, (&Module, &'i Import)>, start: &Module) -> Vec<(Module, &'i Import)> {
    let mut circle = Vec::new();
    let mut at = start;
    loop {
        let (module, import) = came_from[at];
        circle.push((module.clone(), import));
        at = module;
        if at == start {
            circle.reverse();
            return circle;
        }
    }
}
