//! Services and their time to live.

use crate::fixture::Fixture;
use esker::{EXPIRED_RETENTION, Engine, Error};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const START_MS: u64 = 1_800_000_000_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn is_alive(engine: &dyn Engine, name: &str) -> bool {
    match engine.get_service(name) {
        Ok(_) => true,
        Err(Error::ServiceExpired) => false,
        Err(error) => panic!("{name}: {error}"),
    }
}

fn a_service_round_trips(on: &dyn Fixture) {
    let engine = on.engine();
    let data = br#"{"name":"web","address":"10.0.0.1","port":8080}"#;
    engine.set_service("web", data, HOUR).expect("set_service");
    engine.set_service("", b"", HOUR).expect("the empty name and empty data");
    assert_eq!(engine.get_service("web").expect("get_service"), data);
    let engine = on.reopened();
    assert_eq!(engine.get_service("web").expect("get_service"), data);
    assert_eq!(engine.get_service("").expect("get_service"), b"");
    engine.set_service("web", b"new", HOUR).expect("set_service");
    assert_eq!(engine.get_service("web").expect("get_service"), b"new");
    assert!(matches!(engine.get("web"), Err(Error::KeyNotFound)), "a service is not a key");
    assert!(engine.list("").expect("list").is_empty());
}

fn a_missing_service_is_not_found(on: &dyn Fixture) {
    let engine = on.engine();
    let error = engine.get_service("nothing").expect_err("there is nothing");
    assert!(matches!(error, Error::ServiceNotFound), "{error:?}");
    assert!(error.to_string().starts_with("service not found"));
    engine.set("web", b"a key").expect("set");
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
    assert!(engine.list_services().expect("list_services").is_empty());
}

fn a_deleted_service_is_not_found(on: &dyn Fixture) {
    let engine = on.engine();
    engine.delete_service("nothing").expect("a missing service is fine");
    engine.set_service("web", b"{}", HOUR).expect("set_service");
    engine.delete_service("web").expect("delete_service");
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceNotFound)));
    assert!(matches!(on.reopened().get_service("web"), Err(Error::ServiceNotFound)));
}

fn services_are_listed_in_the_order_of_their_bytes(on: &dyn Fixture) {
    let engine = on.engine();
    for name in ["web", "api", "db", "Web", "é", "", "api/2"] {
        engine.set_service(name, b"{}", HOUR).expect("set_service");
    }
    let sorted = ["", "Web", "api", "api/2", "db", "web", "é"];
    assert_eq!(engine.list_services().expect("list_services"), sorted);
    assert_eq!(on.reopened().list_services().expect("list_services"), sorted);
}

fn a_ttl_of_zero_is_refused_and_changes_nothing(on: &dyn Fixture) {
    let engine = on.engine();
    engine.set_service("web", b"old", HOUR).expect("set_service");
    for name in ["web", "new"] {
        let error = engine.set_service(name, b"x", Duration::ZERO).expect_err("zero");
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
    }
    assert_eq!(engine.get_service("web").expect("get_service"), b"old");
    assert_eq!(engine.list_services().expect("list_services"), ["web"]);
}

fn the_longest_name_is_taken_and_one_byte_more_is_not(on: &dyn Fixture) {
    let engine = on.engine();
    let longest = "s".repeat(65_535 - 4);
    engine.set_service(&longest, b"{}", HOUR).expect("the longest name");
    assert_eq!(on.reopened().get_service(&longest).expect("get_service"), b"{}");
    let engine = on.engine();
    let longer = "s".repeat(65_535 - 3);
    for error in [
        engine.set_service(&longer, b"{}", HOUR).expect_err("too long"),
        engine.delete_service(&longer).expect_err("too long"),
    ] {
        assert!(
            matches!(
                error,
                Error::TooLarge { what: "key", size_bytes: 65_536, limit_bytes: 65_535, .. }
            ),
            "{error:?}"
        );
    }
    assert!(matches!(engine.get_service(&longer), Err(Error::ServiceNotFound)));
    assert_eq!(engine.list_services().expect("list_services"), [longest]);
}

on_every_engine!(
    a_service_round_trips,
    a_missing_service_is_not_found,
    a_deleted_service_is_not_found,
    services_are_listed_in_the_order_of_their_bytes,
    a_ttl_of_zero_is_refused_and_changes_nothing,
    the_longest_name_is_taken_and_one_byte_more_is_not,
);

fn it_is_alive_to_the_millisecond(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    engine.set_service("web", b"{}", ms(900)).expect("set_service");
    engine.set_service("one", b"{}", ms(1)).expect("set_service");
    engine.set_service("less", b"{}", Duration::from_nanos(1)).expect("set_service");
    assert!(is_alive(&*engine, "web"), "not whole seconds");
    assert!(is_alive(&*engine, "one") && is_alive(&*engine, "less"), "not gone at once");
    on.set_now_ms(START_MS + 1);
    assert!(!is_alive(&*engine, "one") && !is_alive(&*engine, "less"));
    on.set_now_ms(START_MS + 899);
    assert!(is_alive(&*engine, "web"));
    on.set_now_ms(START_MS + 900);
    assert!(!is_alive(&*engine, "web"), "alive while now < set time + ttl");
}

fn a_ttl_that_overflows_never_ends(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    for (name, ttl) in [
        ("max", Duration::MAX),
        ("seconds", Duration::from_secs(u64::MAX)),
        ("just over", ms(u64::MAX - START_MS + 1)),
    ] {
        engine.set_service(name, b"{}", ttl).expect("it saturates");
    }
    engine.set_service("just under", b"{}", ms(u64::MAX - START_MS - 1)).expect("set_service");
    let engine = on.reopened();
    on.set_now_ms(u64::MAX - 2);
    assert_eq!(
        engine.list_services().expect("list_services"),
        ["just over", "just under", "max", "seconds"]
    );
    on.set_now_ms(u64::MAX);
    assert!(is_alive(&*engine, "max"));
    assert_eq!(engine.list_services().expect("list_services"), ["just over", "max", "seconds"]);
}

fn expired_says_so_until_it_is_deleted_or_set_again(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    for name in ["kept", "deleted", "renewed"] {
        engine.set_service(name, b"old", ms(100)).expect("set_service");
    }
    on.set_now_ms(START_MS + 100);
    for name in ["kept", "deleted", "renewed"] {
        let error = engine.get_service(name).expect_err("expired");
        assert!(matches!(error, Error::ServiceExpired), "{error:?}");
        assert!(error.to_string().starts_with("service expired"), "{error}");
    }
    engine.delete_service("deleted").expect("an expired one can be deleted");
    engine.set_service("renewed", b"new", ms(100)).expect("set_service");
    let engine = on.reopened();
    assert!(!is_alive(&*engine, "kept"));
    assert!(matches!(engine.get_service("deleted"), Err(Error::ServiceNotFound)));
    assert_eq!(engine.get_service("renewed").expect("alive again"), b"new");
}

fn it_is_purged_no_earlier_than_the_retention(on: &dyn Fixture) {
    assert_eq!(EXPIRED_RETENTION, Duration::from_secs(600));
    on.set_now_ms(START_MS);
    on.engine().set_service("web", b"{}", ms(100)).expect("set_service");
    on.set_now_ms(START_MS + 100 + 600_000 - 1);
    assert!(on.engine().list_services().expect("list_services").is_empty());
    assert!(matches!(on.engine().get_service("web"), Err(Error::ServiceExpired)));
    assert!(matches!(on.reopened().get_service("web"), Err(Error::ServiceExpired)));
    on.set_now_ms(START_MS + 100 + 600_000);
    let engine = on.engine();
    assert!(engine.list_services().expect("list_services").is_empty());
    let error = engine.get_service("web").expect_err("gone, sooner or later");
    assert!(matches!(error, Error::ServiceExpired | Error::ServiceNotFound), "{error:?}");
    engine.set_service("web", b"again", ms(100)).expect("set_service");
    assert_eq!(engine.get_service("web").expect("get_service"), b"again");
}

fn the_list_hides_what_expired(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    for (name, ttl) in [("web", 300), ("api", 100), ("db", 200)] {
        engine.set_service(name, b"{}", ms(ttl)).expect("set_service");
    }
    assert_eq!(engine.list_services().expect("list_services"), ["api", "db", "web"]);
    on.set_now_ms(START_MS + 100);
    assert_eq!(engine.list_services().expect("list_services"), ["db", "web"]);
    on.set_now_ms(START_MS + 200);
    assert_eq!(on.reopened().list_services().expect("list_services"), ["web"]);
    on.set_now_ms(START_MS + 300);
    assert!(on.engine().list_services().expect("list_services").is_empty());
}

fn setting_again_starts_the_ttl_again(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    engine.set_service("longer", b"{}", ms(100)).expect("set_service");
    engine.set_service("shorter", b"{}", ms(1_000)).expect("set_service");
    on.set_now_ms(START_MS + 99);
    engine.set_service("longer", b"{}", ms(100)).expect("set_service");
    engine.set_service("shorter", b"{}", ms(1)).expect("set_service");
    on.set_now_ms(START_MS + 198);
    assert!(is_alive(&*engine, "longer"));
    assert!(!is_alive(&*engine, "shorter"));
    on.set_now_ms(START_MS + 199);
    assert!(!is_alive(&*engine, "longer"));
}

fn a_clock_that_steps_back_revives_nothing(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    engine.set_service("got", b"{}", ms(100)).expect("set_service");
    engine.set_service("long", b"{}", HOUR).expect("set_service");
    on.set_now_ms(START_MS + 100);
    assert!(!is_alive(&*engine, "got"));
    on.set_now_ms(START_MS);
    assert!(!is_alive(&*engine, "got"), "seen expired by get_service");
    assert_eq!(engine.list_services().expect("list_services"), ["long"]);

    engine.set_service("listed", b"{}", ms(1_000)).expect("set_service");
    on.set_now_ms(START_MS + 10_000);
    assert_eq!(engine.list_services().expect("list_services"), ["long"]);
    on.set_now_ms(START_MS);
    assert!(!is_alive(&*engine, "listed"), "seen expired by list_services");

    let engine = on.reopened();
    assert!(!is_alive(&*engine, "got") && !is_alive(&*engine, "listed"), "reopened");
    assert_eq!(engine.list_services().expect("list_services"), ["long"]);
}

fn what_is_set_after_the_clock_stepped_back_is_alive(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    engine.set_service("web", b"old", ms(100)).expect("set_service");
    on.set_now_ms(START_MS + 500_000);
    assert!(!is_alive(&*engine, "web"));
    on.set_now_ms(START_MS - 500_000);
    engine.set_service("web", b"new", ms(100)).expect("set_service");
    assert_eq!(engine.get_service("web").expect("not born expired"), b"new");
    assert_eq!(engine.list_services().expect("list_services"), ["web"]);
}

fn keys_outlive_any_clock(on: &dyn Fixture) {
    on.set_now_ms(START_MS);
    let engine = on.engine();
    engine.set("k", b"v").expect("set");
    engine.set_service("k", b"s", ms(1)).expect("set_service");
    on.set_now_ms(u64::MAX);
    assert!(engine.get_service("k").is_err());
    assert_eq!(engine.get("k").expect("get"), b"v");
    assert_eq!(engine.list("").expect("list"), ["k"]);
}

on_every_engine_with_a_clock!(
    it_is_alive_to_the_millisecond,
    a_ttl_that_overflows_never_ends,
    expired_says_so_until_it_is_deleted_or_set_again,
    it_is_purged_no_earlier_than_the_retention,
    the_list_hides_what_expired,
    setting_again_starts_the_ttl_again,
    a_clock_that_steps_back_revives_nothing,
    what_is_set_after_the_clock_stepped_back_is_alive,
    keys_outlive_any_clock,
);

/// The one test by the machine's own clock: it sleeps past a short time to live.
fn expires_by_the_machines_clock(engine: &dyn Engine) {
    engine.set_service("short", b"{}", ms(30)).expect("set_service");
    engine.set_service("long", b"{}", HOUR).expect("set_service");
    // By the wall clock, which somebody may set back meanwhile.
    let begun = std::time::Instant::now();
    let expired = loop {
        std::thread::sleep(ms(10));
        match engine.get_service("short") {
            Ok(_) => assert!(begun.elapsed() < ms(60_000), "it does not expire"),
            Err(e) => break e,
        }
    };
    assert!(matches!(expired, Error::ServiceExpired), "{expired}");
    assert_eq!(engine.get_service("long").expect("get_service"), b"{}");
    assert_eq!(engine.list_services().expect("list_services"), ["long"]);
}

#[test]
fn expires_by_the_machines_clock_on_memory() {
    expires_by_the_machines_clock(&esker::MemoryEngine::new());
}

#[test]
fn expires_by_the_machines_clock_on_lsm() {
    expires_by_the_machines_clock(&*crate::fixture::Lsm::small().engine());
}
