//! Strategy 1: each worker downloads into its own `emptyDir` when it starts.

use speech_flow_demo_hub::{Action, FaultRule};

use crate::cluster::{Cluster, WORKER};

#[test]
fn a_slow_hub_makes_a_start_slow_and_the_next_pod_gets_the_next_commit() {
    let cluster = Cluster::with("1-runtime-download");
    let slow = FaultRule::new(Action::Slow { bytes_per_second: 64 << 10 }).path("**/model.bin");
    let slow = cluster.world.hub.add_fault(slow).expect("a fault");

    // The pod lives while it downloads, and answers nothing yet.
    let mut first = cluster.start("first", WORKER, &cluster.volume("empty-dir-1"));
    assert!(!first.is_ready());
    assert_eq!(first.commit(), None);
    cluster.world.hub.remove_fault(slow);
    first.becomes_ready();
    cluster.put_in_service(&first, &cluster.old);
    cluster.client.hears_from_all();
    assert!(cluster.files_from_the_hub() > 0);

    // The branch moves: who runs keeps its commit, and who starts gets the new one.
    cluster.publish();
    let (_second, _) = cluster.worker("second", &cluster.volume("empty-dir-2"), &cluster.new);
    cluster.client.hears_from_all();
    assert!(cluster.files_from_the_hub() > 0, "an emptyDir is empty");

    let served = cluster.client.stop();
    assert!(served.iter().any(|answer| answer.commit == cluster.old && answer.pod == "first"));
    assert!(served.iter().any(|answer| answer.commit == cluster.new && answer.pod == "second"));
}
