//! One machine as a cluster: a hub, volumes, a strategy's manifests, and the client that all stories have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::container::{Network, Volumes, command};
use crate::manifests::{Manifests, Spec};
use crate::pod::{Pod, run_all};
use crate::support::World;

/// The repository of the manifests' `WHISPER_MODEL_NAME=large-v3`; the demo hub has a small model under this name.
pub(crate) const REPOSITORY: &str = "Systran/faster-whisper-large-v3";
/// The workers of the manifests.
pub(crate) const WORKER: &str = "Deployment/speech-flow-whisper";

/// A cluster with one strategy applied.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) client: Client,
    /// The commit that the hub's branch `main` stands for at first.
    pub(crate) old: String,
    /// The one that [`Cluster::publish`] moves it to.
    pub(crate) new: String,
    manifests: Manifests,
    /// The address of the cache server; nobody listens there until it is started.
    cache_server: String,
    containers: AtomicU32,
}

impl Cluster {
    /// A hub whose `main` is a commit behind, and a strategy.
    pub(crate) fn with(overlay: &str) -> Self {
        let world = World::start();
        let commit = |revision| world.hub.commit(REPOSITORY, revision).expect("a commit").to_string();
        let (old, new) = (commit("v1"), commit("next"));
        assert_ne!(old, new);
        world.hub.set_head(REPOSITORY, "main", &old).expect("moved");
        let cache_server = "http://127.0.0.1:9".to_owned();
        let (manifests, client) = (Manifests::of(overlay), Client::start());
        Self { world, client, old, new, manifests, cache_server, containers: AtomicU32::new(0) }
    }

    /// Moves the hub's branch to the new commit.
    pub(crate) fn publish(&self) {
        self.world.hub.set_head(REPOSITORY, "main", &self.new).expect("moved");
    }

    /// A folder that stands for a volume: empty at first.
    pub(crate) fn volume(&self, name: &str) -> Volumes {
        let models = self.world.folder().join("volumes").join(name);
        fs::create_dir_all(&models).expect("a folder");
        Volumes { models, lockfile: None }
    }

    /// A ConfigMap with a lockfile of what the hub's branches stand for now, as `kubectl apply -k` makes it.
    pub(crate) fn lockfile(&self, name: &str) -> PathBuf {
        let folder = self.world.folder().join("configmaps").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        // Their author writes it, beside the hub: of the manifests' settings only the models' names matter.
        let variables = self.manifests.pod(WORKER)[0].variables.clone();
        let names = variables.into_iter().filter(|(name, _)| name.contains("_MODEL_"));
        let mut lock = self.world.command(&["lock"]);
        lock.envs(names.filter(|(name, _)| name.starts_with("WHISPER") || name.starts_with("LID")));
        lock.env("MODEL_CACHE_DIR", self.world.folder().join("author"));
        lock.env("SPEECH_FLOW_LOCKFILE", folder.join("speech-flow.lock"));
        self.world.finish(&mut lock).exits(0);
        folder
    }

    /// Runs all containers of a Job or a CronJob, and gives their logs.
    #[track_caller]
    pub(crate) fn run(&self, object: &str, volumes: &Volumes) -> String {
        self.run_containers(&self.manifests.pod(object), volumes)
    }

    /// Runs the init containers of an object's pod only.
    #[track_caller]
    pub(crate) fn init(&self, object: &str, volumes: &Volumes) -> String {
        let containers = self.manifests.pod(object);
        let (_, before) = containers.split_last().expect("a container");
        self.run_containers(before, volumes)
    }

    /// Starts the last container of an object's pod.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, object: &str, volumes: &Volumes) -> Pod {
        let containers = self.manifests.pod(object);
        Pod::start(name, &mut self.command(containers.last().expect("a container"), volumes))
    }

    /// A worker: its init containers, then itself until it is ready; then it is put in service. Gives the logs of the
    /// init containers, too.
    #[track_caller]
    pub(crate) fn worker(&self, name: &str, volumes: &Volumes, commit: &str) -> (Pod, String) {
        let log = self.init(WORKER, volumes);
        let mut pod = self.start(name, WORKER, volumes);
        pod.becomes_ready();
        self.put_in_service(&pod, commit);
        (pod, log)
    }

    /// A ready pod gets requests, and must answer them with this commit.
    #[track_caller]
    pub(crate) fn put_in_service(&self, pod: &Pod, commit: &str) {
        assert_eq!(pod.commit().as_deref(), Some(commit), "{}", pod.name);
        self.client.add(&pod.name, &pod.address, commit);
    }

    /// A rolling update with `maxSurge: 1` and `maxUnavailable: 0`: a new pod is ready before an old one goes.
    #[track_caller]
    pub(crate) fn roll(&self, pods: Vec<Pod>, generation: &str, volumes: &Volumes, commit: &str) -> Vec<Pod> {
        let replaced = pods.into_iter().zip(1..).map(|(pod, number)| {
            let (replacement, _) = self.worker(&format!("{generation}-{number}"), volumes, commit);
            self.client.hears_from_all();
            self.stop(pod);
            replacement
        });
        replaced.collect()
    }

    /// Takes a pod out of service and ends it.
    #[track_caller]
    pub(crate) fn stop(&self, pod: Pod) {
        self.client.remove(&pod.name);
        pod.terminate();
    }

    /// Starts the cache server, in front of the hub.
    #[track_caller]
    pub(crate) fn start_cache_server(&mut self, lockfile: &Path) -> Pod {
        let volume = Volumes { lockfile: Some(lockfile.to_owned()), ..self.volume("cache-server") };
        let mut server = self.start("cache-server", "StatefulSet/speech-flow-cache", &volume);
        server.becomes_ready();
        self.cache_server = format!("http://{}", server.address);
        server
    }

    /// How many answers with bytes of files the hub has given since the last look.
    pub(crate) fn files_from_the_hub(&self) -> usize {
        let requests = self.world.file_requests().len();
        self.world.hub.clear_requests();
        requests
    }

    fn run_containers(&self, containers: &[Spec], volumes: &Volumes) -> String {
        run_all(containers.iter().map(|container| self.command(container, volumes)))
    }

    fn command(&self, container: &Spec, volumes: &Volumes) -> Command {
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let folder = self.world.folder().join("containers").join(number.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        let network = Network { hub: self.world.hub.endpoint(), cache_server: self.cache_server.clone() };
        command(&folder, container, volumes, &network)
    }
}
