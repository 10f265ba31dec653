//! A manifest, edit by edit, and `CURRENT`.

use super::item::{
    AddedTable, Change, Current, Followed, Id, Item, ManifestHeader, Segment, State,
};
use super::{Damage, Subject};
use crate::error::{Error, Result};
use crate::format::{BackupRef, FileKind, FrameReader};
use crate::manifest::format::{HEADER_SIZE, MANIFEST_MAGIC, decode_edit, decode_header};
use crate::manifest::read::{self, current_of, recorded_in};
use crate::manifest::{self, Edit};

/// Tells each edit, and what they add up to.
///
/// # Errors
/// [`Error::UnsupportedFormat`], [`Error::Io`].
pub(super) fn tell(subject: &mut Subject<'_>) -> Result<()> {
    let bytes = subject.read()?;
    let path = subject.path.clone();
    let (database, id) = match decode_header(&bytes, MANIFEST_MAGIC, &path) {
        Ok(said) => said,
        Err(e) => return subject.telling.damage(e),
    };
    if let Some(FileKind::Manifest(named)) = subject.kind
        && named != id
    {
        let detail = format!("expected the manifest {named}, found {id}");
        return subject.telling.damage(Error::corruption(&path, 24, detail));
    }
    let header = ManifestHeader { database_id: Id(database.0), manifest: id.0 };
    if subject.telling.item(&Item::ManifestHeader(header)).is_break() {
        return Ok(());
    }
    let mut state = manifest::State::empty();
    for frame in FrameReader::new(&bytes, HEADER_SIZE, database, id.into()) {
        // Where one does not fit, what follows says so, too, as an open would.
        let Some(edit) = decode_edit(frame.body) else { break };
        if state.apply(&edit).is_err() {
            break;
        }
        if subject.telling.item(&Item::Change(change(frame.offset, &edit))).is_break() {
            return Ok(());
        }
    }
    let current = read::Current { database, manifest: id };
    match recorded_in(&bytes, &path, current) {
        Ok(recorded) => {
            match recorded.cut_at {
                Some(offset) => {
                    let what = "bytes that are no intact edit".to_owned();
                    subject.telling.damage = Some(Damage { offset, what, is_torn_tail: true });
                }
                None => {
                    // The last item: whether to go on is asked no more.
                    let _ = subject.telling.item(&Item::State(added_up(&recorded.state)));
                }
            }
            Ok(())
        }
        Err(e) => subject.telling.damage(e),
    }
}

fn change(offset: u64, edit: &Edit) -> Change {
    Change {
        offset,
        log_min: edit.log_min.map(|id| id.0),
        log_base: edit.log_base,
        opens: edit.opens,
        next_file: edit.next_file,
        last_seq: edit.last_seq.map(|seq| seq.0),
        expiry_floor_ms: edit.expiry_floor_ms,
        tables_added: edit.added.iter().map(|(level, meta)| AddedTable::of(*level, meta)).collect(),
        tables_removed: edit.removed.iter().map(|id| id.0).collect(),
        segments: edit.segments.iter().map(Segment::from).collect(),
        segments_removed: edit.segments_removed.iter().map(|id| id.0).collect(),
        followed: edit.followed.as_deref().map(followed),
        is_closed: edit.is_closed,
    }
}

fn followed(backups: &[BackupRef]) -> Vec<Followed> {
    let followed =
        |backup: &BackupRef| Followed { backup_id: Id(backup.id.0), sequence_number: backup.seq.0 };
    backups.iter().map(followed).collect()
}

fn added_up(state: &manifest::State) -> State {
    State {
        log_min: state.log_min.0,
        log_base: state.log_base,
        opens: state.opens,
        next_file: state.next_file,
        last_seq: state.last_seq.0,
        expiry_floor_ms: state.expiry_floor_ms,
        tables: state.tables.keys().map(|id| id.0).collect(),
        segments: state.segments.keys().map(|id| id.0).collect(),
        followed: followed(&state.followed),
    }
}

/// Tells what `CURRENT` says.
///
/// # Errors
/// [`Error::UnsupportedFormat`], [`Error::Io`].
pub(super) fn tell_current(subject: &mut Subject<'_>) -> Result<()> {
    match current_of(&subject.read()?, &subject.path) {
        Ok(read::Current { database, manifest }) => {
            let said = Current { database_id: Id(database.0), manifest: manifest.0 };
            let _ = subject.telling.item(&Item::Current(said)); // It is all there is.
            Ok(())
        }
        Err(e) => subject.telling.damage(e),
    }
}
