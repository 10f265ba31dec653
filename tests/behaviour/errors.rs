//! The reference's table of errors: a variant each, and the text it promises.

use esker::Error;
use std::path::PathBuf;

#[test]
fn texts_are_the_references() {
    let table = [
        (Error::KeyNotFound, "key not found", "create it if needed"),
        (Error::ServiceNotFound, "service not found", "register the service"),
        (Error::ServiceExpired, "service expired", "re-register"),
        (
            Error::Locked { dir: PathBuf::from("/db") },
            "failed to open /db: Cannot acquire directory lock: \
             another process is using this database",
            "stop the other instance",
        ),
        (
            Error::Corruption {
                file: PathBuf::from("/db/7.log"),
                offset: 12,
                detail: "what was found".to_string(),
            },
            "Corruption detected",
            "restore from a backup",
        ),
    ];
    for (error, text, remedy) in table {
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(error.remedy().is_some_and(|it| it.contains(remedy)), "{error}");
    }
    assert_eq!(Error::KeyNotFound.to_string(), "key not found", "and no more than that");
}
