//! Damage to a database at rest: every bit of every file, whole files, two
//! damages at once. It is refused, or told, or harmless; it is never an older
//! value, a deleted key come back, or a key that is not found.

mod bits;
mod disk;
mod fixture;
mod fork;
mod large;
mod oracle;
mod pairs;
mod repair;
mod special;
mod whole;
mod young;

/// Says what was being done, should a check panic.
struct Context(Option<String>);

impl Context {
    fn new(text: String) -> Self {
        Context(Some(text))
    }

    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(text) = &self.0 {
            eprintln!("while at: {text}");
        }
    }
}
