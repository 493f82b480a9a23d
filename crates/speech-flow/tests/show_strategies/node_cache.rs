//! Strategy 4: a DaemonSet keeps the locked models on each node's disk; one lockfile pins them for all.

use std::fs;

use crate::cluster::Cluster;
use crate::container::Volumes;

const DAEMON: &str = "DaemonSet/speech-flow-node-cache";

#[test]
fn a_pinned_version_is_rolled_out_and_back_and_a_node_that_loses_its_disk_fills_it_from_the_cluster() {
    let mut cluster = Cluster::with("4-node-cache");
    let pinned = cluster.lockfile("speech-flow-lock-old");
    let server = cluster.start_cache_server(&pinned);
    let on = |node: &str, lockfile| Volumes { lockfile: Some(lockfile), ..cluster.volume(node) };
    let (one, two) = (on("node-1", pinned.clone()), on("node-2", pinned.clone()));
    let daemons = [&one, &two].map(|node| {
        cluster.init(DAEMON, node);
        cluster.start("daemon", DAEMON, node)
    });
    let workers = vec![
        cluster.worker("old-1", &one, &cluster.old).0,
        cluster.worker("old-2", &two, &cluster.old).0,
        cluster.worker("old-3", &two, &cluster.old).0,
    ];
    cluster.client.hears_from_all();
    cluster.files_from_the_hub();

    // The branch moves. A pod that is started anew, on a warm node, is the pinned version still.
    cluster.publish();
    let (late, _) = cluster.worker("late", &one, &cluster.old);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0, "a warm node is a hit");
    cluster.stop(late);

    // A new lockfile is a new ConfigMap: pods are replaced one by one, on nodes that have the old version only.
    let moved = cluster.lockfile("speech-flow-lock-new");
    let one_new = Volumes { lockfile: Some(moved), ..one.clone() };
    let workers = cluster.roll(workers, "new", &one_new, &cluster.new);
    cluster.client.hears_from_all();
    assert!(cluster.files_from_the_hub() > 0, "the new version came, once, through the cache server");

    // `kubectl rollout undo`: the old version is on the nodes still, so not even the cache server is needed.
    server.terminate();
    let workers = cluster.roll(workers, "back", &one, &cluster.old);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0);
    drop(daemons);

    // The node loses its disk. Workers that run go on; the next one fills the new disk, from the cache server alone.
    let _server = cluster.start_cache_server(&pinned);
    fs::remove_dir_all(&one.models).expect("the disk is gone");
    cluster.client.hears_from_all();
    fs::create_dir(&one.models).expect("a new disk");
    cluster.init(DAEMON, &one);
    let _workers = cluster.roll(workers, "healed", &one, &cluster.old);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0, "the cache server has it all");

    let served = cluster.client.stop();
    let commit_of = |pod: &str| served.iter().find(|answer| answer.pod == pod).map(|answer| answer.commit.clone());
    assert_eq!(commit_of("new-3"), Some(cluster.new.clone()));
    assert_eq!(commit_of("healed-3"), Some(cluster.old.clone()));
}
