//! Which files of a change deserve a look before anything else: what runs with secrets later, or decides who reviews.

/// A file of a change, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct ChangedFile<'a> {
    /// From the repository's root.
    pub path: &'a str,
    /// Its name before, where it was moved.
    pub previous_path: Option<&'a str>,
    /// Added and removed lines; `None` where they are not known.
    pub lines: Option<&'a str>,
}

/// Folders in which continuous integration, editors and git look for what to run.
const FOLDERS: [&str; 14] = [
    ".buildkite/",
    ".circleci/",
    ".devcontainer/",
    ".forgejo/",
    ".gitea/",
    ".githooks/",
    ".github/actions/",
    ".github/workflows/",
    ".gitlab/",
    ".husky/",
    ".teamcity/",
    ".vscode/",
    ".woodpecker/",
    "hooks/",
];
/// Files that decide what runs or who reviews, wherever they are.
const NAMES: [&str; 27] = [
    ".envrc",
    ".gitattributes",
    ".gitlab-ci.yml",
    ".gitmodules",
    ".lefthook.yml",
    ".npmrc",
    ".pnpmfile.cjs",
    ".pre-commit-config.yaml",
    ".travis.yml",
    ".yarnrc",
    ".yarnrc.yml",
    "appveyor.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "build.rs",
    "codeowners",
    "conftest.py",
    "dependabot.yml",
    "extconf.rb",
    "jenkinsfile",
    "lefthook.yml",
    "nuget.config",
    "pip.conf",
    "pnpmfile.cjs",
    "renovate.json",
    "setup.cfg",
    "setup.py",
];
/// Scripts that npm and its kin run by themselves (npm's documentation, "scripts", life cycle).
const LIFE_CYCLE: [&str; 9] = [
    "\"preinstall\"",
    "\"install\"",
    "\"postinstall\"",
    "\"preprepare\"",
    "\"prepare\"",
    "\"postprepare\"",
    "\"prepack\"",
    "\"prepublish\"",
    "\"prepublishOnly\"",
];

/// The flagged files of a change, in their order.
#[must_use]
pub fn flag_files(files: &[ChangedFile<'_>]) -> Vec<String> {
    files.iter().filter(|file| is_flagged(file)).map(|file| file.path.to_owned()).collect()
}

fn is_flagged(file: &ChangedFile<'_>) -> bool {
    let is_special = |path: &str| {
        let path = path.to_ascii_lowercase();
        let name = path.rsplit('/').next().unwrap_or_default();
        FOLDERS.iter().any(|folder| path.starts_with(folder)) || NAMES.contains(&name)
    };
    let is_manifest = file.path.rsplit('/').next() == Some("package.json");
    let runs = |lines: &str| LIFE_CYCLE.iter().any(|script| lines.contains(script));
    is_special(file.path)
        || file.previous_path.is_some_and(is_special)
        || (is_manifest && file.lines.is_none_or(runs))
}

/// Whether a command looks as if it checks the work: tests, types, lints, builds.
#[must_use]
pub fn is_check(command: &str) -> bool {
    const PROGRAMS: [&str; 12] = [
        "eslint",
        "jest",
        "mocha",
        "mypy",
        "phpunit",
        "playwright",
        "pytest",
        "rspec",
        "ruff",
        "tox",
        "tsc",
        "vitest",
    ];
    const VERBS: [&str; 8] = ["build", "check", "clippy", "lint", "test", "tests", "typecheck", "verify"];
    const TOOLS: [&str; 16] = [
        "bazel",
        "bun",
        "cargo",
        "deno",
        "dotnet",
        "go",
        "gradle",
        "./gradlew",
        "just",
        "make",
        "mvn",
        "npm",
        "nx",
        "pnpm",
        "swift",
        "yarn",
    ];
    let is_word = |c: char| c.is_whitespace() || matches!(c, '&' | ';' | '|' | '(' | ')');
    let words: Vec<&str> = command.split(is_word).filter(|word| !word.is_empty()).collect();
    let is_verb = |word: &str| word.split([':', '-', '=']).any(|part| VERBS.contains(&part));
    words.iter().enumerate().any(|(index, word)| {
        let name = word.rsplit('/').next().unwrap_or_default();
        PROGRAMS.contains(&name)
            || (TOOLS.contains(word) || TOOLS.contains(&name))
                && words.iter().skip(index + 1).take(4).any(|word| is_verb(word))
            || *word == "--test"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_what_may_run_with_secrets_later_is_flagged() {
        let check = |path: &str, lines: Option<&str>, expected: bool| {
            let file = ChangedFile { path, previous_path: None, lines };
            assert_eq!(!flag_files(&[file]).is_empty(), expected, "{path} {lines:?}");
        };
        for path in [
            ".github/workflows/ci.yml",
            ".GitHub/Workflows/x.yml",
            "CODEOWNERS",
            "docs/CODEOWNERS",
            ".husky/pre-commit",
            ".gitlab-ci.yml",
            "Jenkinsfile",
            "crates/a/build.rs",
            "setup.py",
            ".npmrc",
            ".gitmodules",
            ".vscode/tasks.json",
        ] {
            check(path, Some("+x"), true);
        }
        for path in ["src/main.rs", "workflows/ci.yml", "docs/hooks/x.md", "src/codeowners.ts", "README.md"] {
            check(path, Some("+x"), false);
        }
        check("package.json", Some("+    \"lodash\": \"4\""), false);
        check("web/package.json", Some("+    \"postinstall\": \"node x.js\""), true);
        check("package.json", None, true);
        let moved = ChangedFile { path: "x", previous_path: Some(".github/workflows/ci.yml"), lines: None };
        assert_eq!(flag_files(&[moved]), ["x"]);
    }

    #[test]
    fn commands_that_check_are_recognised() {
        for command in [
            "npm test",
            "npm run test:unit",
            "cd web && pnpm lint",
            "cargo nextest run && cargo clippy",
            "go test ./...",
            "npx vitest run",
            "python -m pytest -q",
            "node --test tests/",
            "make check",
            "./gradlew test",
            "node_modules/.bin/tsc --build",
        ] {
            assert!(is_check(command), "{command}");
        }
        for command in
            ["ls", "cat test.txt", "git commit -m 'add test'", "npm install", "echo test", "cargo add serde"]
        {
            assert!(!is_check(command), "{command}");
        }
    }
}
