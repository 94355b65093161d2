//! Benchmarks of the parts of the engine over the large generated cluster (`generated`). The bench `table` measures the whole, with
//! its targets.
#![expect(clippy::unwrap_used, reason = "the data is made here")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::evaluate;

mod generated;

use generated::{Generated, LARGE, SEED};

fn engine(criterion: &mut Criterion) {
    let generated = Generated::new(&LARGE, SEED);
    let flows = generated.flows(LARGE.flows / 10);
    let keys: Vec<FlowKey> = flows.iter().filter_map(FlowKey::of).collect();
    let policies = generated.compiled();
    let cluster = Cluster::build(&generated.objects);
    let identities = Arc::new(Identities::as_recorded(&cluster));
    let world = World::new(&cluster, Arc::clone(&identities), policies.clone());

    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    group.bench_function("compile 5,000 policies", |bencher| bencher.iter(|| generated.compiled()));
    group.bench_function("index 20,000 pods", |bencher| bencher.iter(|| Cluster::build(&generated.objects)));
    group.bench_function("tell the pods' identities", |bencher| bencher.iter(|| Identities::as_recorded(&cluster)));
    group.bench_function("resolve the policies", |bencher| {
        bencher.iter(|| World::new(&cluster, Arc::clone(&identities), policies.clone()));
    });
    group.bench_function("one policy taken out and put in again", |bencher| {
        let (mut world, policy) = (world.clone(), policies.last().unwrap());
        bencher.iter(|| (world.remove(&policy.reference), world.set(policy)));
    });
    group.throughput(Throughput::Elements(flows.len().try_into().unwrap()));
    group.bench_function("resolve the ends of 10,000 flows", |bencher| {
        bencher.iter(|| flows.iter().for_each(|flow| _ = black_box(cluster.resolve(flow))));
    });
    group.bench_function("judge 10,000 flows", |bencher| {
        let mut said = BatchVerdicts::default();
        bencher.iter(|| {
            said.clear();
            world.judge(&keys, &mut said);
            said.answers().len()
        });
    });
    group.bench_function("judge 10,000 flows and say why", |bencher| {
        bencher.iter(|| flows.iter().map(|flow| evaluate(&world, flow, 0).lines.len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
