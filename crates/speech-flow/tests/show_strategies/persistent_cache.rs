//! Strategy 2: a Job fills a volume, workers read it, a CronJob updates it.

use crate::cluster::Cluster;

#[test]
fn three_workers_read_what_a_job_wrote_and_an_update_reaches_them_when_they_are_rolled() {
    let cluster = Cluster::with("2-persistent-cache");
    let volume = cluster.volume("speech-flow-models");
    cluster.run("Job/preload-models", &volume);
    assert!(cluster.files_from_the_hub() > 0);

    let workers = ["old-1", "old-2", "old-3"].map(|name| cluster.worker(name, &volume, &cluster.old).0);
    cluster.client.hears_from_all();

    // The branch moves, and one more worker starts before the update: the lockfile decides, not the branch.
    cluster.publish();
    let (late, _) = cluster.worker("late", &volume, &cluster.old);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0, "workers read the volume only");

    // The CronJob updates the volume under them, and cleans up; what they use stays.
    cluster.run("CronJob/update-models", &volume);
    assert!(cluster.files_from_the_hub() > 0);
    cluster.client.hears_from_all();
    cluster.stop(late);

    // `kubectl rollout restart`: the new pods take what the lockfile says now.
    let workers = cluster.roll(workers.into(), "new", &volume, &cluster.new);
    cluster.client.hears_from_all();
    assert_eq!(cluster.files_from_the_hub(), 0);

    // Nothing has moved: the CronJob is no work, and the version before is still there for a rollback.
    cluster.run("CronJob/update-models", &volume);
    assert_eq!(cluster.files_from_the_hub(), 0);
    let snapshots = volume.models.join("whisper/models--Systran--faster-whisper-large-v3/snapshots");
    assert!(snapshots.join(&cluster.old).is_dir() && snapshots.join(&cluster.new).is_dir());

    cluster.client.hears_from_all();
    let served = cluster.client.stop();
    assert_eq!(workers.len(), 3);
    assert_eq!(served.last().map(|answer| &answer.commit), Some(&cluster.new));
}
