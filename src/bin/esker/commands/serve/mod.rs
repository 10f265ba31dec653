//! `serve`: the engine over HTTP, until SIGTERM or Ctrl-C.

mod settings;

use crate::failure::{Failure, Kind, Result};
use crate::holder;
use crate::place::Global;
use crate::stream;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory};
use esker::Error;
use esker::server::{Server, log_to_stderr, signalled};
use serde_json::json;
use settings::Settings;
use std::path::PathBuf;
use std::time::Duration;

/// How long threads that still write when everything is closed are waited for.
const THREADS_WAIT: Duration = Duration::from_secs(5);

/// Serve the database over HTTP, with a status page, until SIGTERM or Ctrl-C.
///
/// What arguments do not say is taken from the environment (ESKER_LISTEN and so on; the six KONSUL_ variables, too), then
/// from the file given with --config, then from the defaults.
#[derive(Debug, Args)]
pub struct Serve {
    /// A TOML file with any of these settings, as in listen = "127.0.0.1:8500".
    #[arg(long, env = "ESKER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    /// Does it; `C` is the list of commands, whose arguments are looked at once more.
    ///
    /// # Errors
    /// What is set makes no sense, the address or the database cannot be had, or the database did not close well.
    pub fn run<C: CommandFactory>(&self, global: &Global) -> Result<()> {
        let settings = self.resolved::<C>(global)?;
        let config = settings.config()?;
        let (format, filter) = settings.log();
        log_to_stderr(format, filter)?;
        raise_file_limit();
        let no_threads =
            |e: std::io::Error| Failure::new(Kind::Io, format!("the system gives no threads: {e}"));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_threads)?;
        // On a runtime that has not begun: what fails here, fails before anybody is answered.
        let server = Server::bind(config).map_err(|e| match e {
            Error::Locked { dir } => holder::locked(&dir),
            e => e.into(),
        })?;
        let url = format!("http://{}", server.local_addr());
        // Before anybody is told that it serves: a signal that comes right then must find its handler.
        let end = {
            let _inside = runtime.enter();
            signalled()
        };
        global.output().answer(&format!("serving on {url}"), &json!({ "serving": url }))?;
        let served = runtime.block_on(server.run(end));
        runtime.shutdown_timeout(THREADS_WAIT);
        Ok(served?)
    }

    /// Who says what, in order.
    fn resolved<C: CommandFactory>(&self, global: &Global) -> Result<Settings> {
        let arguments = Settings {
            data_dir: is_data_dir_given::<C>().then(|| global.data_dir.clone()),
            ..self.settings.clone()
        };
        let konsul = Settings::of_konsul(|name| std::env::var(name).ok())?;
        let file = match &self.config {
            Some(path) => {
                let bytes = stream::read_all(path)?;
                let text = String::from_utf8(bytes).map_err(|_| {
                    Failure::new(Kind::Usage, format!("{} is not UTF-8", path.display()))
                })?;
                Settings::of_file(&text, path)?
            }
            None => Settings::default(),
        };
        Ok(arguments.or(konsul).or(file))
    }
}

/// Whether `--data-dir` or its variable was given: for every other command its default is as good.
fn is_data_dir_given<C: CommandFactory>() -> bool {
    let Ok(matches) = C::command().try_get_matches() else { return false };
    let source = matches.value_source("data_dir");
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// As many files as the system lets this process have: each connection is one.
#[cfg(target_os = "linux")]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused there are fewer connections, which the server minds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(not(target_os = "linux"))]
fn raise_file_limit() {}
