//! A client that never stops asking, behind a service that knows which pods are ready.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::http;
use crate::manifests::root;
use crate::support::wait_until;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// The pods in service, by name.
type Endpoints = BTreeMap<String, Endpoint>;

#[derive(Debug, Clone)]
struct Endpoint {
    address: String,
    /// The commit that it was pinned to when it was put in service.
    commit: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) pod: String,
    pub(crate) commit: String,
    text: String,
}

/// The service in front of the pods, and its client.
pub(crate) struct Client {
    /// Locked for reading while a request is on its way: a pod that is taken out has none any more, as after `preStop`.
    endpoints: Arc<RwLock<Option<Endpoints>>>,
    served: Arc<Mutex<Vec<Served>>>,
    asking: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts to ask; while no pod is in service it waits.
    pub(crate) fn start() -> Self {
        let endpoints = Arc::new(RwLock::new(Some(Endpoints::new())));
        let served = Arc::new(Mutex::new(Vec::new()));
        let recording = fs::read(root().join("fixtures/audio/en05.wav")).expect("a recording");
        let asking = thread::spawn({
            let (endpoints, served) = (Arc::clone(&endpoints), Arc::clone(&served));
            move || keep_asking(&endpoints, &served, &recording)
        });
        Self { endpoints, served, asking: Some(asking) }
    }

    /// Puts a pod in service.
    pub(crate) fn add(&self, pod: &str, address: &str, commit: &str) {
        let endpoint = Endpoint { address: address.to_owned(), commit: commit.to_owned() };
        self.endpoints.write().expect("no request failed").as_mut().expect("asking").insert(pod.to_owned(), endpoint);
    }

    /// Takes a pod out of service, once its request is answered.
    pub(crate) fn remove(&self, pod: &str) {
        self.endpoints.write().expect("no request failed").as_mut().expect("asking").remove(pod);
    }

    /// Waits until every pod in service has answered anew.
    #[track_caller]
    pub(crate) fn hears_from_all(&self) {
        let pods: Vec<String> =
            self.endpoints.read().expect("no request failed").iter().flatten().map(|(pod, _)| pod.clone()).collect();
        let before = self.served().len();
        wait_until("every pod has answered", || {
            assert!(self.asking.as_ref().is_some_and(|asking| !asking.is_finished()), "a request failed; see above");
            let served = self.served();
            pods.iter().all(|pod| served.iter().skip(before).any(|answer| answer.pod == *pod))
        });
    }

    /// All that was answered so far.
    pub(crate) fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops; fails unless every request was answered by the right commit, and with the same words.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<Served> {
        *self.endpoints.write().expect("no request failed") = None;
        self.asking.take().expect("asking").join().expect("every answer was right");
        let served = self.served();
        // The versions differ in their configuration's layout only: the weights, and so the words, are the same.
        let first = &served.first().expect("somebody was asked").text;
        assert!(!first.is_empty() && served.iter().all(|answer| answer.text == *first), "{served:#?}");
        served
    }
}

/// Asks the pods in turn until there is no list of them any more.
fn keep_asking(endpoints: &RwLock<Option<Endpoints>>, served: &Mutex<Vec<Served>>, recording: &[u8]) {
    for turn in 0_usize.. {
        let locked = endpoints.read().expect("nobody fails while changing the list");
        let Some(list) = locked.as_ref() else { return };
        let Some((pod, endpoint)) = (!list.is_empty()).then(|| list.iter().nth(turn % list.len())).flatten() else {
            drop(locked);
            thread::sleep(PAUSE);
            continue;
        };
        let answer = ask(pod, endpoint, recording);
        served.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        drop(locked);
        // A lock that is free for a moment only is one that a writer may never get.
        thread::sleep(PAUSE);
    }
}

/// One request, held to the commit that the pod was pinned to: by `/v1/models`, by the header, and by the result itself.
fn ask(pod: &str, endpoint: &Endpoint, recording: &[u8]) -> Served {
    let models = http::get(&endpoint.address, "/v1/models").unwrap_or_else(|| panic!("{pod} does not answer"));
    let models: Value = serde_json::from_str(&models.body).expect("JSON");
    let answer = http::transcribe(&endpoint.address, recording).unwrap_or_else(|| panic!("{pod} does not answer"));
    assert_eq!(answer.status, 200, "{pod}: {answer:?}");
    let line = answer.head.lines().find_map(|line| line.strip_prefix("x-speech-flow-model: ")).expect("the header");
    let in_header = line.split_once('@').and_then(|(_, rest)| rest.split(' ').next()).expect("a commit");
    let result: Value = serde_json::from_str(&answer.body).expect("JSON");
    let by_json = [&models["data"][0]["commit"], &result["model"]["commit"]].map(Value::as_str);
    let named = [by_json[0], by_json[1], Some(in_header)];
    assert_eq!(named, [Some(endpoint.commit.as_str()); 3], "{pod} serves a wrong commit");
    let text = result["text"].as_str().expect("text").to_owned();
    Served { pod: pod.to_owned(), commit: endpoint.commit.clone(), text }
}
