//! From a request to its answer: the truth first, then what a fault makes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use crate::api::{self, Target};
use crate::fault::{Action, Subject, change_request, change_response};
use crate::http::{Request, Response, Wire};
use crate::log::{Entry, RequestRecord};

/// What is sent to a request, how, and where it is logged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) wire: Wire,
    pub(crate) entry: Arc<Entry>,
}

impl Shared {
    /// Answers a request and logs it. What is asked below `/demo` is no traffic: it has no faults and no log.
    pub(crate) fn answer(&self, request: &Request, connection: u64) -> Answer {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = request.header("x-request-id").map_or_else(|| format!("demo-{number:08x}"), str::to_owned);
        let target = Target::of(request, |id| self.catalog.get(id).is_some());
        let mut record = RequestRecord::new(request, connection, request_id.clone());
        let answer = |request: &Request| api::answer(self, request, &target).with("X-Request-Id", request_id.clone());
        let true_answer = answer(request);
        if matches!(target, Target::Control(_)) {
            return Answer { response: true_answer, wire: Wire::default(), entry: Entry::new(record) };
        }
        let hosted = target.repo().and_then(|repo| self.catalog.get(repo));
        record.endpoint = target.endpoint();
        record.repo = target.repo().filter(|_| hosted.is_some()).map(str::to_owned);
        record.file = target.file().map(str::to_owned);
        let action = self.faults.next(Subject {
            endpoint: target.endpoint(),
            method: &request.method,
            repo: target.repo(),
            file: target.file(),
            url_path: &request.path,
            ranged: record.range.is_some(),
            is_redirected: true_answer.header("Location").is_some(),
        });
        record.fault = action.as_ref().map(|action| action.name().to_owned());
        let entry = Entry::new(record);
        self.log.add(Arc::clone(&entry));
        let Some(action) = action else {
            return Answer { response: true_answer, wire: Wire::default(), entry };
        };
        let mut request = request.clone();
        let true_answer = if change_request(&action, &mut request) { answer(&request) } else { true_answer };
        let pointer = hosted.as_ref().zip(target.file()).and_then(|(hosted, file)| hosted.repository.pointer(file));
        let is_the_hubs_own = matches!(action, Action::Status { .. } | Action::Redirect { .. });
        let (mut response, wire) = change_response(action, &request, true_answer, pointer);
        if is_the_hubs_own {
            response.set("X-Request-Id", request_id.clone());
        }
        Answer { response, wire, entry }
    }
}
