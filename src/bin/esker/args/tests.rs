//! The definition of the arguments, against itself and against its documentation.

use super::Cli;
use clap::{Command, CommandFactory, Parser};

const GUIDE: &str = include_str!("../../../../docs/cli.md");

/// Every command that does something, with its whole name.
fn leaves(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
    let is_shown = |below: &&Command| below.get_name() != "help" && !below.is_hide_set();
    let below: Vec<_> = command.get_subcommands().filter(is_shown).collect();
    // One that does something by itself may have others below it.
    if !command.is_subcommand_required_set() {
        found.push((name.to_string(), command.clone()));
    }
    for command in below {
        leaves(command, &format!("{name} {}", command.get_name()), found);
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, "esker", &mut found);
    assert!(found.len() >= 24, "{}", found.len());
    found
}

/// The section of the guide on the command `name`.
fn section(name: &str) -> Option<&'static str> {
    let (_, rest) = GUIDE.split_once(&format!("\n## `{name}`\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

/// The words of a line for a shell: quotes of both kinds, and a backslash before one character outside of single ones.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_open) = (Vec::new(), String::new(), None, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => word.extend(characters.next()),
            (_, Some(_)) => word.push(character),
            ('\'' | '"', None) => (quote, is_open) = (Some(character), true),
            (' ', None) => {
                if is_open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            _ => word.push(character),
        }
    }
    if is_open || !word.is_empty() {
        words.push(word);
    }
    words
}

/// The calls of esker in a line for a shell, without what goes into files.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for call in words(line).split(|word| matches!(word.as_str(), "|" | "&&")) {
        let end = call.iter().position(|word| word.starts_with('>') || word.starts_with('<'));
        let call = call.get(..end.unwrap_or(call.len())).unwrap_or_default();
        if call.first().is_some_and(|first| first == "esker") {
            calls.push(call.to_vec());
        }
    }
    calls
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn each_command_and_each_argument_has_help() {
    for (name, command) in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10 && !about.contains('\n'), "{name}: {about:?}");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "{name}: {} has no help", argument.get_id());
        }
    }
}

#[test]
fn the_guide_has_each_command_with_an_example_and_its_flags() {
    for (name, command) in commands() {
        let section =
            section(&name).unwrap_or_else(|| panic!("docs/cli.md has no section `{name}`"));
        let begin: Vec<_> = name.split(' ').map(str::to_string).collect();
        let is_shown = section
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .flat_map(calls)
            .any(|call| call.starts_with(&begin));
        assert!(is_shown, "docs/cli.md: no example of `{name}` in its section");
        let flags = command.get_arguments().filter(|argument| !argument.is_global_set());
        for flag in flags.filter_map(|argument| argument.get_long()).filter(|flag| *flag != "help")
        {
            assert!(section.contains(&format!("--{flag}")), "docs/cli.md: `{name}` lacks --{flag}");
        }
    }
}

#[test]
fn every_example_of_the_guide_is_understood() {
    let mut count = 0;
    for line in GUIDE.lines().filter_map(|line| line.strip_prefix("$ ")) {
        for call in calls(line) {
            count += 1;
            if let Err(refused) = Cli::try_parse_from(&call) {
                let is_help = !refused.use_stderr();
                assert!(is_help, "docs/cli.md: {line}\n{refused}");
            }
        }
    }
    assert!(count >= 30, "{count} examples");
}

#[test]
fn the_guide_names_no_flag_that_is_none() {
    for (name, command) in commands() {
        let section = section(&name).unwrap_or_default();
        let known: Vec<_> =
            command.get_arguments().filter_map(|argument| argument.get_long()).collect();
        for (at, _) in section.match_indices("`--") {
            let rest = section.get(at + 3..).unwrap_or_default();
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            let flag = rest.get(..end).unwrap_or_default();
            assert!(known.contains(&flag), "docs/cli.md: `{name}` has no --{flag}");
        }
    }
}

#[test]
fn exit_codes_are_the_same_in_the_help_and_in_the_guide() {
    let rows = |text: &str,
                is_row: fn(&str) -> Option<(String, String)>|
     -> Vec<(String, String)> { text.lines().filter_map(is_row).collect() };
    let help = rows(super::AFTER_HELP, |line| {
        let (code, rest) = line.trim_start().split_once(' ')?;
        code.parse::<u8>().ok()?;
        Some((code.to_string(), rest.trim_start().split(':').next()?.to_string()))
    });
    let guide = rows(GUIDE, |line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code = cells.next()?.parse::<u8>().ok()?;
        Some((code.to_string(), cells.next()?.to_string()))
    });
    assert_eq!(help, guide);
    assert_eq!(help.len(), 11);
}
