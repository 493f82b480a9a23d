//! The rules in force, and which of them meets a request.

use std::sync::{Mutex, PoisonError};

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::{Action, Endpoint, FaultRule, Matching, Times};
use crate::DemoHubError;

/// Names a rule while it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(u64);

impl FaultId {
    /// The number that stands for the rule at `/demo/faults`.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A rule in force and what it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultState {
    /// The rule's number.
    pub id: FaultId,
    /// The rule.
    pub rule: FaultRule,
    /// How many requests matched.
    pub matched: u32,
    /// To how many of them the fault happened.
    pub happened: u32,
}

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: &'a str,
    pub(crate) repo: Option<&'a str>,
    pub(crate) file: Option<&'a str>,
    pub(crate) url_path: &'a str,
    pub(crate) ranged: bool,
    /// The true answer is a redirect.
    pub(crate) is_redirected: bool,
}

/// All rules, in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct FaultRules {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    rules: Vec<InForce>,
}

#[derive(Debug)]
struct InForce {
    state: FaultState,
    pattern: Option<GlobMatcher>,
}

impl FaultRules {
    pub(crate) fn add(&self, rule: FaultRule) -> Result<FaultId, DemoHubError> {
        let pattern = rule.matching.path.as_deref().map(compile).transpose()?;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last_id += 1;
        let id = FaultId(inner.last_id);
        inner.rules.push(InForce { state: FaultState { id, rule, matched: 0, happened: 0 }, pattern });
        Ok(id)
    }

    /// Takes a rule away; `false` when there is none of this number.
    pub(crate) fn remove(&self, number: u64) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.rules.len();
        inner.rules.retain(|rule| rule.state.id.0 != number);
        inner.rules.len() < before
    }

    pub(crate) fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).rules.clear();
    }

    pub(crate) fn states(&self) -> Vec<FaultState> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rules.iter().map(|rule| rule.state.clone()).collect()
    }

    /// The fault that happens to a request: that of the first rule whose turn it is. Rules behind it
    /// do not count the request.
    pub(crate) fn next(&self, subject: Subject<'_>) -> Option<Action> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rules.iter_mut().find_map(|rule| rule.meet(subject))
    }
}

impl InForce {
    fn meet(&mut self, subject: Subject<'_>) -> Option<Action> {
        if !self.matches(subject) {
            return None;
        }
        let state = &mut self.state;
        state.matched += 1;
        let happens = match state.rule.times {
            Times::Every => true,
            Times::First(n) => state.matched <= n,
            Times::After(n) => state.matched > n,
            Times::Nth(n) => state.matched == n,
        };
        happens.then(|| {
            state.happened += 1;
            state.rule.action.clone()
        })
    }

    fn matches(&self, subject: Subject<'_>) -> bool {
        let Matching { endpoint, method, repo, path, ranged } = &self.state.rule.matching;
        let pattern_fits = self.pattern.as_ref().is_none_or(|pattern| {
            let is_url_pattern = path.as_deref().is_some_and(|path| path.starts_with('/'));
            let text = if is_url_pattern { Some(subject.url_path) } else { subject.file };
            text.is_some_and(|text| pattern.is_match(text))
        });
        let method_fits = match method {
            Some(method) => method.eq_ignore_ascii_case(subject.method),
            None => subject.method != "HEAD" || !self.state.rule.action.changes_body(),
        };
        // The body of a redirect is of no use to anybody: the fault waits where the redirect leads to.
        let is_seen = endpoint.is_some() || !subject.is_redirected || !self.state.rule.action.changes_body();
        pattern_fits
            && method_fits
            && is_seen
            && endpoint.is_none_or(|endpoint| endpoint == subject.endpoint)
            && repo.as_deref().is_none_or(|repo| Some(repo) == subject.repo)
            && ranged.is_none_or(|ranged| ranged == subject.ranged)
    }
}

impl Action {
    /// Whether nothing would be seen of the action in an answer without a body.
    fn changes_body(&self) -> bool {
        match self {
            Self::CutAfter { .. }
            | Self::FlipByte { .. }
            | Self::StallAfter { .. }
            | Self::Slow { .. }
            | Self::IgnoreRange
            | Self::WrongRange { .. }
            | Self::WrongLength { .. }
            | Self::HtmlPage
            | Self::LfsPointer
            | Self::EmptyBody
            | Self::Body { .. } => true,
            Self::Status { .. }
            | Self::Delay { .. }
            | Self::ChangedEtag { .. }
            | Self::Drop
            | Self::Redirect { .. }
            | Self::Headers { .. } => false,
        }
    }
}

fn compile(pattern: &str) -> Result<GlobMatcher, DemoHubError> {
    let glob = GlobBuilder::new(pattern).literal_separator(false).build();
    let glob = glob.map_err(|source| DemoHubError::InvalidPattern { pattern: pattern.to_owned(), source })?;
    Ok(glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'static> = Subject {
        endpoint: Endpoint::Resolve,
        method: "GET",
        repo: Some("a/b"),
        file: Some("sub/model.bin"),
        url_path: "/a/b/resolve/main/sub/model.bin",
        ranged: false,
        is_redirected: false,
    };

    #[track_caller]
    fn check(rule: FaultRule, subject: Subject<'_>, happens: &[bool]) {
        let rules = FaultRules::default();
        rules.add(rule).unwrap();
        let seen: Vec<_> = happens.iter().map(|_| rules.next(subject).is_some()).collect();
        assert_eq!(seen, happens);
    }

    #[test]
    fn times_count_matching_requests() {
        let rule = FaultRule::new(Action::Drop);
        check(rule.clone(), SUBJECT, &[true, true, true]);
        check(rule.clone().first(1), SUBJECT, &[true, false, false]);
        check(rule.clone().after(1), SUBJECT, &[false, true, true]);
        check(rule.nth(2), SUBJECT, &[false, true, false]);
    }

    #[test]
    fn each_condition_must_fit() {
        let rule = FaultRule::new(Action::Drop);
        for fits in [
            rule.clone().path("*.bin"),
            rule.clone().path("/a/b/resolve/*"),
            rule.clone().path("sub/model.bin"),
            rule.clone().repo("a/b").method("get").on(Endpoint::Resolve).ranged(false),
        ] {
            check(fits, SUBJECT, &[true]);
        }
        for misses in [
            rule.clone().path("*.json"),
            rule.clone().path("model.bin"),
            rule.clone().path("/api/*"),
            rule.clone().repo("a/c"),
            rule.clone().method("HEAD"),
            rule.clone().on(Endpoint::Cdn),
            rule.ranged(true),
        ] {
            check(misses, SUBJECT, &[false]);
        }
    }

    #[test]
    fn a_change_of_the_body_spares_head_unless_asked_for() {
        let head = Subject { method: "HEAD", ..SUBJECT };
        check(FaultRule::new(Action::HtmlPage), head, &[false]);
        check(FaultRule::new(Action::HtmlPage).method("HEAD"), head, &[true]);
        check(FaultRule::new(Action::Drop), head, &[true]);
    }

    #[test]
    fn a_change_of_the_body_spares_a_redirect_unless_asked_for() {
        let redirect = Subject { is_redirected: true, ..SUBJECT };
        check(FaultRule::new(Action::EmptyBody), redirect, &[false]);
        check(FaultRule::new(Action::EmptyBody).on(Endpoint::Resolve), redirect, &[true]);
        check(FaultRule::new(Action::Drop), redirect, &[true]);
    }

    #[test]
    fn the_next_rule_has_its_turn_when_the_first_is_used_up() {
        let rules = FaultRules::default();
        rules.add(FaultRule::new(Action::Drop).first(1)).unwrap();
        let second = rules.add(FaultRule::new(Action::EmptyBody)).unwrap();
        assert_eq!(rules.next(SUBJECT), Some(Action::Drop));
        assert_eq!(rules.next(SUBJECT), Some(Action::EmptyBody));
        assert!(rules.remove(second.number()));
        assert_eq!(rules.next(SUBJECT), None);
    }

    #[test]
    fn rules_are_read_from_json() {
        let text = r#"[
            {"match": {"endpoint": "tree"}, "action": {"kind": "status", "status": 429, "retry_after": {"date_in": 3}}, "times": {"first": 2}},
            {"action": {"kind": "ignore_range"}}
        ]"#;
        let rules: Vec<FaultRule> = serde_json::from_str(text).unwrap();
        assert_eq!(rules[0].matching.endpoint, Some(Endpoint::Tree));
        assert_eq!(rules[0].times, Times::First(2));
        assert_eq!(rules[1], FaultRule::new(Action::IgnoreRange));
        let written = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Vec<FaultRule>>(&written).unwrap(), rules);
        for wrong in [r#"{"action": {"kind": "explode"}}"#, r#"{"action": {"kind": "drop"}, "time": "every"}"#] {
            assert!(serde_json::from_str::<FaultRule>(wrong).is_err(), "accepted {wrong}");
        }
    }
}
