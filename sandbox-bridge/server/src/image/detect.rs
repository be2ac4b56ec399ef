//! Finds out from the files in a repository's top folder how it is set up, built and warmed. Pure.
//!
//! Only the top folder is looked at: a repository of many projects says in its recipe which of them matter.

use super::recipe::RecipeError;
use protocol::build::BuildSources;
use serde_json::Value;

/// What npm writes into a new `package.json` as its test.
const NO_TEST: &str = "no test specified";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) setup: Vec<String>,
    pub(super) build: Vec<String>,
    pub(super) warm: Vec<String>,
    pub(super) start: Option<String>,
    pub(super) notes: Vec<String>,
}

/// The steps of everything that is there; a repository may be several things.
pub(super) fn detect(sources: &BuildSources) -> Result<Found, RecipeError> {
    let has = |name: &str| sources.entries.iter().any(|entry| entry == name);
    let mut found = Found::default();
    if let Some(package) = sources.files.get("package.json") {
        node(&mut found, &has, package)?;
    }
    if has("Cargo.toml") {
        let locked = has("Cargo.lock");
        found.note(if locked { "Cargo.lock" } else { "Cargo.toml" }, "cargo");
        found.setup(if locked { "cargo fetch --locked" } else { "cargo fetch" });
        found.build.push("cargo build".to_owned());
        found.warm.push("cargo test --no-run".to_owned());
    }
    python(&mut found, &has);
    if has("go.mod") {
        found.note("go.mod", "go");
        found.setup("go mod download");
        found.build.push("go build ./...".to_owned());
    }
    if found.notes.is_empty() {
        found.notes.push(format!(
            "nothing to set up was found in the repository's top folder; say in {} what is to be done",
            BuildSources::RECIPE
        ));
    }
    Ok(found)
}

impl Found {
    fn note(&mut self, file: &str, tool: &str) {
        self.notes.push(format!("found {file}: {tool}"));
    }

    fn setup(&mut self, command: &str) {
        self.setup.push(command.to_owned());
    }
}

fn node(found: &mut Found, has: &impl Fn(&str) -> bool, package: &str) -> Result<(), RecipeError> {
    let package: Value = serde_json::from_str(package)
        .map_err(|error| RecipeError::Source { file: "package.json", message: error.to_string() })?;
    let (file, tool, install) = if has("package-lock.json") || has("npm-shrinkwrap.json") {
        ("package-lock.json", "npm", "npm ci")
    } else if has("pnpm-lock.yaml") {
        ("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile")
    } else if has("yarn.lock") && has(".yarnrc.yml") {
        ("yarn.lock", "yarn", "yarn install --immutable")
    } else if has("yarn.lock") {
        ("yarn.lock", "yarn", "yarn install --frozen-lockfile")
    } else {
        ("package.json", "npm", "npm install --no-package-lock")
    };
    found.note(file, tool);
    found.setup(install);
    let script = |name: &str| package.get("scripts")?.get(name)?.as_str();
    if script("build").is_some() {
        found.build.push(format!("{tool} run build"));
    }
    if script("test").is_some_and(|test| !test.contains(NO_TEST)) {
        found.warm.push(format!("{tool} test"));
    }
    found.start = ["dev", "start"]
        .into_iter()
        .find(|name| script(name).is_some())
        .map(|name| format!("{tool} run {name}"));
    Ok(())
}

fn python(found: &mut Found, has: &impl Fn(&str) -> bool) {
    let environment = "python3 -m venv .venv";
    if has("pyproject.toml") && has("uv.lock") {
        found.note("uv.lock", "uv");
        found.setup("uv sync --frozen");
    } else if has("requirements.txt") {
        found.note("requirements.txt", "pip");
        found.setup(environment);
        found.setup(".venv/bin/pip install -r requirements.txt");
    } else if has("pyproject.toml") {
        found.note("pyproject.toml", "pip");
        found.setup(environment);
        found.setup(".venv/bin/pip install -e .");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[&str], package: Option<&str>) -> Found {
        let mut sources = BuildSources {
            entries: entries.iter().map(|name| (*name).to_owned()).collect(),
            ..BuildSources::default()
        };
        if let Some(text) = package {
            sources.files.insert("package.json".to_owned(), text.to_owned());
        }
        detect(&sources).unwrap()
    }

    #[test]
    fn each_lock_file_has_its_tool() {
        for (entries, package, setup) in [
            (&["package-lock.json"][..], Some("{}"), &["npm ci"][..]),
            (&["pnpm-lock.yaml"], Some("{}"), &["pnpm install --frozen-lockfile"]),
            (&["yarn.lock"], Some("{}"), &["yarn install --frozen-lockfile"]),
            (&["yarn.lock", ".yarnrc.yml"], Some("{}"), &["yarn install --immutable"]),
            (&[], Some("{}"), &["npm install --no-package-lock"]),
            (&["Cargo.toml", "Cargo.lock"], None, &["cargo fetch --locked"]),
            (&["Cargo.toml"], None, &["cargo fetch"]),
            (&["pyproject.toml", "uv.lock", "requirements.txt"], None, &["uv sync --frozen"]),
            (
                &["requirements.txt"],
                None,
                &["python3 -m venv .venv", ".venv/bin/pip install -r requirements.txt"],
            ),
            (&["pyproject.toml"], None, &["python3 -m venv .venv", ".venv/bin/pip install -e ."]),
            (&["go.mod"], None, &["go mod download"]),
            (&["go.mod", "package-lock.json"], Some("{}"), &["npm ci", "go mod download"]),
            (&["README.md"], None, &[]),
        ] {
            assert_eq!(found(entries, package).setup, setup, "{entries:?}");
        }
    }

    #[test]
    fn scripts_of_a_package_are_build_warm_up_and_start() {
        let package =
            r#"{"scripts": {"build": "tsc", "test": "vitest run", "dev": "vite", "start": "node ."}}"#;
        let found_here = found(&["package-lock.json"], Some(package));
        assert_eq!(found_here.build, ["npm run build"]);
        assert_eq!(found_here.warm, ["npm test"]);
        assert_eq!(found_here.start.as_deref(), Some("npm run dev"));
        let package = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(found(&["package-lock.json"], Some(package)).warm, Vec::<String>::new());
    }

    #[test]
    fn a_package_that_is_no_json_is_an_error_with_its_place() {
        let mut sources = BuildSources::default();
        sources.files.insert("package.json".to_owned(), "{\n  \"scripts\": }".to_owned());
        let text = detect(&sources).unwrap_err().to_string();
        assert!(text.contains("package.json") && text.contains("line 2"), "{text}");
    }
}
