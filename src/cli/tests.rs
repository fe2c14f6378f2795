//! Tests of the command line without a process.

use std::path::Path;

use clap::{CommandFactory, Parser};

use super::{Cli, Command, Placement, banner, output};
use crate::config::Config;

#[test]
fn definitions_are_consistent_and_every_command_has_an_example() {
    let mut cli = Cli::command();
    cli.clone().debug_assert();
    for sub in cli.get_subcommands_mut() {
        let help = sub.render_long_help().to_string();
        assert!(help.contains("Example"), "{help}");
    }
    let help = cli.render_long_help().to_string();
    for word in ["Exit codes", "NO_COLOR", "FANLIGHT_DATA_DIR", "image list"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn explain_reads_sizes_and_properties() {
    let line = "fanlight placement explain --project blue --size 20GiB --property class=ssd --property a=b=c";
    let Command::Placement(Placement::Explain(args)) = Cli::parse_from(line.split(' ')).command else { panic!() };
    assert_eq!(args.size, Some(20 << 30));
    assert_eq!(args.properties, [("class".into(), "ssd".into()), ("a".into(), "b=c".into())]);
    assert_eq!(args.roles, ["member"]);
    for size in ["x", "20XB", "-1", "99999999PiB", ""] {
        assert!(output::parse_size(size).is_err(), "{size}");
    }
    for (text, bytes) in [("512", 512), ("1 kb", 1024), ("3MiB", 3 << 20), ("7B", 7)] {
        assert_eq!(output::parse_size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn banner_of_the_development_gateway() {
    insta::assert_snapshot!(banner::render(&Config::development(Path::new("data"))));
}

#[test]
fn banner_shows_no_password() {
    let text = "[identity]\nmode = \"keystone\"\nauth_url = \"http://keystone:5000/v3\"\nusername = \"glance\"\n\
                project_name = \"service\"\npassword = \"hunter2\"\n[database]\nurl = \"postgres://me:hunter2@db/fan\"\n\
                [store.main]\ntype = \"file\"\npath = \"/srv/images\"\n";
    let config = Config::parse("t.toml", text, &|_| None).unwrap();
    let banner = banner::render(&config);
    assert!(!banner.contains("hunter2") && !format!("{config:?}").contains("hunter2"), "{banner}");
    insta::assert_snapshot!(banner);
}
