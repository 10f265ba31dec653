use super::*;

#[test]
fn only_the_token_itself_passes() {
    let token = Token::new("correct-horse").expect("a token");
    assert!(token.is(b"correct-horse"));
    for other in
        [&b""[..], b"correct-hors", b"correct-horse ", b"correct-horse\0", b"Correct-horse"]
    {
        assert!(!token.is(other), "{}", other.escape_ascii());
    }
    assert!(!token.is(&[b'a'; 1 << 20]));
    assert_eq!(format!("{token:?}"), "Token(hidden)");
    for bad in ["", "a b", "a\n", "ä", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
        assert!(Token::new(bad).is_err(), "{bad:?}");
    }
    assert!(Token::new(&"a".repeat(TOKEN_BYTES_MAX)).is_ok());
}

#[test]
fn files_end_with_a_line_break() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, "abc123\n").expect("written");
    assert!(Token::read(&path).expect("read").is(b"abc123"));
    for bad in [&b""[..], b"\n", b"a b", b"\xff", &[b'a'; 4096]] {
        std::fs::write(&path, bad).expect("written");
        let text = Token::read(&path).expect_err("refused").to_string();
        assert!(text.contains("token"), "{text}");
    }
    assert!(Token::read(dir.path().join("none")).is_err());
}
