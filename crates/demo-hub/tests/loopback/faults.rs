//! Each fault, as a client meets it.

use std::time::{Duration, SystemTime};

use speech_flow_demo_hub::{Action, DemoHub, Endpoint, FaultRule, Repository, RetryAfter};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use crate::client::{Answer, get, head};

const SIZE: usize = 2 << 20;

fn repository() -> Repository {
    Repository::builder("org/name").generated("model.bin", SIZE as u64, 1).file("config.json", "{}").build().unwrap()
}

async fn hub(rule: FaultRule) -> DemoHub {
    DemoHub::builder().repository(repository()).cdn(false).fault(rule).start().await.unwrap()
}

fn url(hub: &DemoHub) -> String {
    format!("{}/org/name/resolve/main/model.bin", hub.endpoint())
}

async fn whole() -> Vec<u8> {
    let hub = DemoHub::builder().repository(repository()).cdn(false).start().await.unwrap();
    get(url(&hub)).answer().await.body
}

/// Answer to a `GET` of the weights while this happens to every request.
async fn answer_under(action: Action) -> Answer {
    get(url(&hub(FaultRule::new(action)).await)).answer().await
}

#[tokio::test]
async fn a_status_carries_its_headers() {
    let answer = answer_under(Action::too_many_requests(RetryAfter::Seconds(3))).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (429, "3"));
    assert!(answer.header("X-Request-Id").starts_with("demo-"));
    let limited = answer_under(Action::rate_limited(7)).await;
    assert_eq!(limited.header("RateLimit"), "\"api\";r=0;t=7");
    let dated = answer_under(Action::too_many_requests(RetryAfter::DateIn(30))).await;
    let date = httpdate::parse_http_date(dated.header("Retry-After")).unwrap();
    let wait = date.duration_since(SystemTime::now()).unwrap();
    assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
}

#[tokio::test]
async fn a_cut_body_ends_at_the_exact_byte() {
    let hub = hub(FaultRule::new(Action::CutAfter { bytes: 1_000_001 })).await;
    let answer = get(url(&hub)).answer().await;
    assert_eq!((answer.status, answer.declared_length(), answer.body.len()), (200, SIZE, 1_000_001));
    assert_eq!(answer.body, whole().await[..1_000_001]);
    let record = &hub.requests()[0];
    assert_eq!((record.bytes_sent, record.fault.as_deref()), (1_000_001, Some("cut_after")));
}

#[tokio::test]
async fn a_flipped_byte_is_the_same_in_every_range_that_covers_it() {
    let hub = hub(FaultRule::new(Action::FlipByte { offset: 1_500_000 })).await;
    let differences = |body: &[u8], whole: &[u8]| -> Vec<usize> {
        body.iter().zip(whole).enumerate().filter(|(_, (one, other))| one != other).map(|(at, _)| at).collect()
    };
    let whole = whole().await;
    let body = get(url(&hub)).answer().await.body;
    assert_eq!((body.len(), differences(&body, &whole)), (SIZE, vec![1_500_000]));
    let part = get(url(&hub)).range("1499990-1500009").answer().await.body;
    assert_eq!(differences(&part, &whole[1_499_990..]), [10]);
    assert!(differences(&get(url(&hub)).range("0-99").answer().await.body, &whole).is_empty());
}

#[tokio::test]
async fn a_stall_keeps_the_connection_open_without_bytes() {
    let hub = hub(FaultRule::new(Action::StallAfter { bytes: 1000, resume_after_ms: None })).await;
    let mut stream = get(url(&hub)).send().await;
    let mut bytes = Vec::new();
    while Answer::parse(&bytes).is_none_or(|answer| answer.body.len() < 1000) {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    assert_eq!(Answer::parse(&bytes).unwrap().body.len(), 1000);
    assert!(timeout(Duration::from_millis(100), stream.read_buf(&mut bytes)).await.is_err());
    assert!(!hub.requests()[0].finished);
    drop(stream);
    timeout(Duration::from_secs(5), async {
        while !hub.requests()[0].finished {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the hub sees that its client has gone");
    assert_eq!(hub.requests()[0].bytes_sent, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_stall_can_end() {
    let before = Instant::now();
    let answer = answer_under(Action::StallAfter { bytes: 10, resume_after_ms: Some(40_000) }).await;
    assert_eq!(answer.body.len(), SIZE);
    assert!(before.elapsed() >= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_takes_its_time() {
    let before = Instant::now();
    let answer = answer_under(Action::Slow { bytes_per_second: 100 << 10 }).await;
    assert_eq!(answer.body, whole().await);
    let seconds = before.elapsed().as_secs_f64();
    assert!((20.0..22.0).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_head() {
    let before = Instant::now();
    let hub = hub(FaultRule::new(Action::Delay { ms: 15_000 })).await;
    assert_eq!(head(url(&hub)).answer().await.status, 200);
    assert!(before.elapsed() >= Duration::from_secs(15));
}

#[tokio::test]
async fn a_changed_etag_is_seen_by_get_and_head() {
    let etag = Some("abc".to_owned());
    let hub = hub(FaultRule::new(Action::ChangedEtag { etag }).after(1)).await;
    let before = head(url(&hub)).answer().await;
    let after = get(url(&hub)).range("5-9").answer().await;
    assert_eq!((after.status, after.header("ETag"), after.header("X-Linked-ETag")), (206, "\"abc\"", "\"abc\""));
    assert_ne!(before.header("ETag"), after.header("ETag"));
}

#[tokio::test]
async fn an_ignored_range_is_the_whole_with_200() {
    let hub = hub(FaultRule::new(Action::IgnoreRange)).await;
    let answer = get(url(&hub)).range("5-9").answer().await;
    assert_eq!((answer.status, answer.body.len(), answer.find("Content-Range")), (200, SIZE, None));
    assert_eq!(hub.requests()[0].range.as_deref(), Some("bytes=5-9"));
}

#[tokio::test]
async fn a_wrong_range_says_what_it_is() {
    let hub = hub(FaultRule::new(Action::WrongRange { shift: 100 })).await;
    let answer = get(url(&hub)).range("5-9").answer().await;
    assert_eq!((answer.status, answer.header("Content-Range")), (206, format!("bytes 105-109/{SIZE}").as_str()));
    assert_eq!(answer.body, whole().await[105..110]);
}

#[tokio::test]
async fn a_wrong_length_is_more_or_less_than_what_is_sent() {
    for by in [-5_i64, 5] {
        let answer = answer_under(Action::WrongLength { by }).await;
        assert_eq!((answer.declared_length() as i64, answer.body.len()), (SIZE as i64 + by, SIZE));
    }
}

#[tokio::test]
async fn a_dropped_connection_brings_no_answer() {
    let hub = hub(FaultRule::new(Action::Drop).first(1)).await;
    assert!(get(url(&hub)).try_answer().await.is_none());
    assert_eq!(hub.requests()[0].status, 0);
    assert_eq!(get(url(&hub)).answer().await.status, 200);
}

#[tokio::test]
async fn a_redirect_leads_to_the_same_file_at_another_host() {
    let other = DemoHub::builder().repository(repository()).cdn(false).start().await.unwrap();
    let hub = hub(FaultRule::new(Action::Redirect { to: other.endpoint() })).await;
    let answer = get(url(&hub)).token("hf_any").answer().await;
    assert_eq!(answer.status, 302);
    assert_eq!(get(answer.header("Location")).answer().await.body, whole().await);
}

#[tokio::test]
async fn other_bodies_stand_in_for_the_file() {
    let page = answer_under(Action::HtmlPage).await;
    assert_eq!((page.status, page.header("Content-Type"), page.find("ETag")), (200, "text/html; charset=utf-8", None));
    assert!(page.body.starts_with(b"<!DOCTYPE html>"));
    let pointer = answer_under(Action::LfsPointer).await;
    assert!(pointer.body.starts_with(b"version https://git-lfs.github.com/spec/v1\n"));
    assert_eq!(pointer.declared_length(), pointer.body.len());
    let empty = answer_under(Action::EmptyBody).await;
    assert_eq!((empty.status, empty.declared_length(), empty.header("ETag").len()), (200, 0, 66));
    let body = Action::Body { content_type: "application/json".to_owned(), body: "[]".to_owned() };
    assert_eq!(answer_under(body).await.body, b"[]");
}

#[tokio::test]
async fn headers_can_be_set_and_taken_away() {
    let set = vec![("X-Repo-Commit".to_owned(), "no commit\r\nX-Injected: 1".to_owned())];
    let answer = answer_under(Action::Headers { set, remove: vec!["etag".to_owned()] }).await;
    assert_eq!(answer.header("X-Repo-Commit"), "no commit  X-Injected: 1");
    assert_eq!((answer.find("ETag"), answer.find("X-Injected")), (None, None));
}

#[tokio::test]
async fn a_fault_follows_a_file_to_the_second_port() {
    let rule = FaultRule::new(Action::CutAfter { bytes: 7 }).path("*.bin").repo("org/name").first(1);
    let hub = DemoHub::builder().repository(repository()).fault(rule).start().await.unwrap();
    let redirect = get(url(&hub)).answer().await;
    assert_eq!((redirect.status, redirect.body.len()), (302, redirect.declared_length()));
    let answer = get(redirect.header("Location")).answer().await;
    assert_eq!((answer.body.len(), answer.declared_length()), (7, SIZE));
    let record = &hub.requests()[1];
    assert_eq!(
        (record.endpoint, record.file.as_deref(), record.query.as_str()),
        (Endpoint::Cdn, Some("model.bin"), "")
    );
}

#[tokio::test]
async fn cleared_faults_happen_no_more() {
    let hub = hub(FaultRule::new(Action::Drop)).await;
    assert!(get(url(&hub)).try_answer().await.is_none());
    hub.clear_faults();
    let id = hub.add_fault(FaultRule::new(Action::status(500))).unwrap();
    assert_eq!(get(url(&hub)).answer().await.status, 500);
    assert!(hub.remove_fault(id));
    assert_eq!(get(url(&hub)).answer().await.status, 200);
    assert!(hub.add_fault(FaultRule::new(Action::Drop).path("[")).is_err());
}
