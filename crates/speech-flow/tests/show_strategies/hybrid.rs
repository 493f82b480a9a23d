//! Strategy 5: the volume first, the cache server next, the hub last, and the lockfile over all three.

use std::fs;

use crate::cluster::Cluster;
use crate::container::Volumes;

#[test]
fn without_its_volume_a_worker_asks_the_cache_server_and_without_that_the_hub() {
    let mut cluster = Cluster::with("5-hybrid");
    let lockfile = cluster.lockfile("speech-flow-lock");
    let server = cluster.start_cache_server(&lockfile);
    let volume = Volumes { lockfile: Some(lockfile), ..cluster.volume("speech-flow-models") };
    cluster.run("Job/preload-models", &volume);
    // From now on the branch is another commit; nobody may serve it.
    cluster.publish();
    cluster.files_from_the_hub();

    // The volume.
    let (first, _) = cluster.worker("from-the-volume", &volume, &cluster.old);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0);

    // The volume is removed under a worker, which goes on. The next one downloads: the cache server has the files.
    lose(&volume);
    cluster.client.hears_from_all();
    let (second, log) = cluster.worker("from-the-server", &volume, &cluster.old);
    cluster.client.hears_from_all();
    assert!(log.contains("downloaded"), "{log}");
    assert_eq!(cluster.files_from_the_hub(), 0, "the cache server has them");

    // The cache server is gone as well: the hub, and the log says so.
    server.terminate();
    lose(&volume);
    let (third, log) = cluster.worker("from-the-hub", &volume, &cluster.old);
    cluster.client.hears_from_all();
    assert!(log.contains("the next one is asked"), "{log}");
    assert!(cluster.files_from_the_hub() > 0);

    // Everything is gone but the volume that is filled again: enough.
    assert!(cluster.world.hub.withdraw(crate::cluster::REPOSITORY));
    let (_fourth, _) = cluster.worker("from-the-volume-again", &volume, &cluster.old);
    [first, second, third].into_iter().for_each(|pod| cluster.stop(pod));
    cluster.client.hears_from_all();
    let served = cluster.client.stop();
    assert!(served.iter().all(|answer| answer.commit == cluster.old), "{served:#?}");
}

/// The volume is gone, and an empty one is in its place.
fn lose(volume: &Volumes) {
    fs::remove_dir_all(&volume.models).expect("removed");
    fs::create_dir(&volume.models).expect("an empty volume");
}
