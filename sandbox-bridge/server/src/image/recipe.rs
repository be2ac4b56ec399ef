//! A repository's recipe: read from `.farhand/recipe.toml`, overruled by the settings field by field, and completed from the files
//! that are there. Pure.
//!
//! What comes out has all steps, possibly empty, and its fingerprint tells whether an image would be the same.

use super::detect;
use protocol::bridge::SandboxLimits;
use protocol::build::BuildSources;
use protocol::limit::RECIPE_COMMANDS_MAX;
use protocol::repository::Recipe;
use protocol::sign::sha256_hex;
use serde::Deserialize;

/// A command longer than this is a file of the repository's.
const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// Names of tools, secrets or hosts.
const NAMES_MAX: usize = 100;

/// A recipe that cannot be carried out; the text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// It is no TOML, or has what a recipe does not have.
    #[error("{} is not a recipe: line {line}: {message}", BuildSources::RECIPE)]
    Parse {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// It says something that does not work.
    #[error("the recipe's {field} {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// What should be found out cannot be.
    #[error(
        "{file} cannot be read: {message}; repair it, or say in {} what is to be done",
        BuildSources::RECIPE
    )]
    Source {
        /// Of the repository.
        file: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// `.farhand/recipe.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RecipeFile {
    base_image: Option<String>,
    setup: Option<Vec<String>>,
    build: Option<Vec<String>>,
    warm: Option<Vec<String>>,
    start: Option<String>,
    tools: Option<Vec<String>>,
    secrets: Option<Vec<String>>,
    allowed_hosts: Option<Vec<String>>,
    limits: Option<LimitsFile>,
    pool_target: Option<u32>,
}

/// What is not said is as usual.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    cpu_millicores: Option<u32>,
    memory_mib: Option<u32>,
    disk_mib: Option<u32>,
    life_ms: Option<u64>,
}

/// A whole recipe, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// With every step.
    pub recipe: Recipe,
    /// For the log.
    pub notes: Vec<String>,
}

/// Reads a recipe of a repository.
pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
    let file: RecipeFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        RecipeError::Parse { line, message: error.message().replace('\n', " ") }
    })?;
    Ok(Recipe {
        base_image: file.base_image,
        setup: file.setup,
        build: file.build,
        warm: file.warm,
        start: file.start,
        tools: file.tools,
        secrets: file.secrets,
        allowed_hosts: file.allowed_hosts,
        limits: file.limits.map(|limits| {
            let usual = SandboxLimits::default();
            SandboxLimits {
                cpu_millicores: limits.cpu_millicores.unwrap_or(usual.cpu_millicores),
                memory_mib: limits.memory_mib.unwrap_or(usual.memory_mib),
                disk_mib: limits.disk_mib.unwrap_or(usual.disk_mib),
                life_ms: limits.life_ms.unwrap_or(usual.life_ms),
            }
        }),
        pool_target: file.pool_target,
    })
}

/// `over` where it says something, else `under`.
#[must_use]
pub fn merge(over: Recipe, under: Recipe) -> Recipe {
    Recipe {
        base_image: over.base_image.or(under.base_image),
        setup: over.setup.or(under.setup),
        build: over.build.or(under.build),
        warm: over.warm.or(under.warm),
        start: over.start.or(under.start),
        tools: over.tools.or(under.tools),
        secrets: over.secrets.or(under.secrets),
        allowed_hosts: over.allowed_hosts.or(under.allowed_hosts),
        limits: over.limits.or(under.limits),
        pool_target: over.pool_target.or(under.pool_target),
    }
}

/// The recipe that is carried out.
pub fn resolve(sources: &BuildSources, settings: &Recipe) -> Result<Resolved, RecipeError> {
    let mut notes = Vec::new();
    let own = match sources.files.get(BuildSources::RECIPE) {
        Some(text) => {
            notes.push(format!("recipe: {}", BuildSources::RECIPE));
            parse(text)?
        }
        None => Recipe::default(),
    };
    let said = merge(settings.clone(), own);
    let (setup, build) = (said.setup.is_none(), said.build.is_none());
    let recipe = if setup || build || said.warm.is_none() || said.start.is_none() {
        let found = detect::detect(sources)?;
        notes.extend(found.notes);
        // A warm-up that was found out belongs to the steps that were: whoever says how to build says how to test.
        let goes_on = setup && build;
        let otherwise = Recipe {
            setup: Some(found.setup),
            build: Some(found.build),
            warm: Some(if goes_on { found.warm } else { Vec::new() }),
            start: found.start.filter(|_| goes_on),
            ..Recipe::default()
        };
        merge(said, otherwise)
    } else {
        said
    };
    check(&recipe)?;
    Ok(Resolved { recipe, notes })
}

/// SHA-256 of the recipe, in hexadecimal digits.
#[must_use]
pub fn fingerprint(recipe: &Recipe) -> String {
    // The fields are written in one order, and what is absent is not written.
    sha256_hex(serde_json::to_string(recipe).unwrap_or_default().as_bytes())
}

fn check(recipe: &Recipe) -> Result<(), RecipeError> {
    let wrong = |field, problem: String| Err(RecipeError::Field { field, problem });
    let start: Vec<String> = recipe.start.iter().cloned().collect();
    let lists = [("setup", &recipe.setup), ("build", &recipe.build), ("warm", &recipe.warm)];
    let commands = lists.into_iter().filter_map(|(name, list)| Some((name, list.as_deref()?)));
    for (name, commands) in commands.chain([("start", start.as_slice())]) {
        if commands.len() > RECIPE_COMMANDS_MAX {
            return wrong(
                name,
                format!("has more than {RECIPE_COMMANDS_MAX} commands; put them into a script"),
            );
        }
        if commands.iter().any(|command| command.trim().is_empty()) {
            return wrong(name, "has an empty command; leave it out".to_owned());
        }
        if commands.iter().any(|command| command.len() > COMMAND_BYTES_MAX) {
            return wrong(
                name,
                format!("has a command of more than {COMMAND_BYTES_MAX} bytes; put it into a script"),
            );
        }
        if commands.iter().any(|command| command.contains('\0')) {
            return wrong(name, "has a command with a NUL in it".to_owned());
        }
    }
    let names =
        [("tools", &recipe.tools), ("secrets", &recipe.secrets), ("allowed_hosts", &recipe.allowed_hosts)];
    for (name, list) in names {
        if list.as_ref().is_some_and(|list| list.len() > NAMES_MAX) {
            return wrong(name, format!("has more than {NAMES_MAX} names"));
        }
    }
    if let Some(limits) = recipe.limits
        && [
            u64::from(limits.cpu_millicores),
            limits.memory_mib.into(),
            limits.disk_mib.into(),
            limits.life_ms,
        ]
        .contains(&0)
    {
        return wrong("limits", "has a 0; leave out what is to be as usual".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(entries: &[&str], recipe: Option<&str>) -> BuildSources {
        let mut sources = BuildSources {
            entries: entries.iter().map(|name| (*name).to_owned()).collect(),
            ..BuildSources::default()
        };
        if let Some(text) = recipe {
            sources.files.insert(BuildSources::RECIPE.to_owned(), text.to_owned());
        }
        sources
    }

    fn list(commands: &[&str]) -> Option<Vec<String>> {
        Some(commands.iter().map(|command| (*command).to_owned()).collect())
    }

    #[test]
    fn a_recipe_is_read_with_all_its_fields() {
        let recipe = parse(
            r#"
            base_image = "debian:bookworm-slim"
            setup = ["npm ci"]
            build = ["npm run build"]
            warm = ["npm test"]
            start = "npm start"
            tools = ["jdk-21"]
            secrets = ["NPM_TOKEN"]
            allowed_hosts = ["*.npm.example"]
            limits = { memory_mib = 8192 }
            pool_target = 1
            "#,
        )
        .unwrap();
        assert_eq!(
            recipe,
            Recipe {
                base_image: Some("debian:bookworm-slim".into()),
                setup: list(&["npm ci"]),
                build: list(&["npm run build"]),
                warm: list(&["npm test"]),
                start: Some("npm start".into()),
                tools: list(&["jdk-21"]),
                secrets: list(&["NPM_TOKEN"]),
                allowed_hosts: list(&["*.npm.example"]),
                limits: Some(SandboxLimits { memory_mib: 8192, ..SandboxLimits::default() }),
                pool_target: Some(1),
            }
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, part) in [
            ("setup = [\n", 1, "unclosed"),
            ("\nsetup = \"npm ci\"", 2, "sequence"),
            ("build = []\n\nbulid = []", 3, "bulid"),
            ("pool_target = -1", 1, "-1"),
        ] {
            let Err(RecipeError::Parse { line: found, message }) = parse(text) else {
                panic!("{text:?} was read")
            };
            assert!(found == line && message.contains(part), "{text:?}: line {found}: {message}");
        }
        let unknown = parse("[limits]\nmemory = 1").unwrap_err().to_string();
        assert!(unknown.contains("memory"), "{unknown}");
    }

    #[test]
    fn settings_win_over_the_file_and_the_file_over_what_is_found() {
        let recipe = "setup = [\"make deps\"]\nbuild = [\"make\"]\npool_target = 5";
        let settings = Recipe { build: list(&["make all"]), warm: list(&[]), ..Recipe::default() };
        let resolved = resolve(&sources(&["Cargo.toml", "Cargo.lock"], Some(recipe)), &settings).unwrap();
        assert_eq!(resolved.recipe.setup, list(&["make deps"]));
        assert_eq!(resolved.recipe.build, list(&["make all"]));
        assert_eq!(resolved.recipe.warm, list(&[]));
        assert_eq!(resolved.recipe.pool_target, Some(5));
        assert_eq!(resolved.recipe.start, None);
    }

    #[test]
    fn what_is_not_said_is_found_out() {
        let resolved = resolve(&sources(&["Cargo.lock", "Cargo.toml"], None), &Recipe::default()).unwrap();
        assert_eq!(resolved.recipe.setup, list(&["cargo fetch --locked"]));
        assert_eq!(resolved.recipe.build, list(&["cargo build"]));
        let nothing = resolve(&sources(&["README.md"], None), &Recipe::default()).unwrap();
        assert_eq!((nothing.recipe.setup, nothing.recipe.build), (list(&[]), list(&[])));
        assert!(nothing.notes.iter().any(|note| note.contains("nothing to set up")), "{:?}", nothing.notes);
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_its_field() {
        let refused = |recipe: Recipe| match resolve(&sources(&[], None), &recipe) {
            Err(RecipeError::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let many = vec!["true".to_owned(); RECIPE_COMMANDS_MAX + 1];
        assert_eq!(refused(Recipe { setup: Some(many), ..Recipe::default() }), "setup");
        assert_eq!(refused(Recipe { build: list(&[" "]), ..Recipe::default() }), "build");
        assert_eq!(refused(Recipe { start: Some("a\0".into()), ..Recipe::default() }), "start");
        let limits = Some(SandboxLimits { memory_mib: 0, ..SandboxLimits::default() });
        assert_eq!(refused(Recipe { limits, ..Recipe::default() }), "limits");
    }

    #[test]
    fn the_fingerprint_is_that_of_what_is_done() {
        let one = Recipe { setup: list(&["a"]), ..Recipe::default() };
        assert_eq!(fingerprint(&one), fingerprint(&one.clone()));
        assert_eq!(fingerprint(&one).len(), 64);
        assert_ne!(fingerprint(&one), fingerprint(&Recipe { setup: list(&["a", "b"]), ..Recipe::default() }));
        assert_ne!(fingerprint(&one), fingerprint(&Recipe { build: list(&["a"]), ..Recipe::default() }));
    }
}
