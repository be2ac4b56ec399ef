//! Phrasings that the demo model reads, each with what it takes them for.

use super::Instruction::{self, Append, Copy, Delete, Prepend, Read, Rename, Replace, Run, Say, Write};
use super::{command::RUN_TESTS, read};

fn write(path: &str, content: &str) -> Instruction {
    Write { path: path.into(), content: content.into() }
}
fn append(path: &str, content: &str) -> Instruction {
    Append { path: path.into(), content: content.into() }
}
fn replace(path: &str, old: &str, new: &str) -> Instruction {
    Replace { path: Some(path.into()), old: old.into(), new: new.into(), all: false, line: false }
}
fn replace_all(path: &str, old: &str, new: &str) -> Instruction {
    Replace { path: Some(path.into()), old: old.into(), new: new.into(), all: true, line: false }
}
fn run(command: &str) -> Instruction {
    Run { command: command.into() }
}
fn delete(path: &str) -> Instruction {
    Delete { path: path.into() }
}

#[track_caller]
fn check(cases: &[(&str, &[Instruction])]) {
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|(prompt, expected)| {
            let found = read(prompt).instructions;
            (found != *expected).then(|| format!("{prompt:?}\n  expected {expected:?}\n  found    {found:?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} phrasings are misread:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn files_are_created() {
    check(&[
        ("Create a file hello.txt with the content `Hello`", &[write("hello.txt", "Hello\n")]),
        ("create hello.txt with \"Hello, world.\"", &[write("hello.txt", "Hello, world.\n")]),
        ("Please create a file called hello.txt containing 'Hello'.", &[write("hello.txt", "Hello\n")]),
        ("Create a new file named `docs/hello.md` that says “Hello”", &[write("docs/hello.md", "Hello\n")]),
        ("Could you add a file NOTES.md saying \"Hi\"?", &[write("NOTES.md", "Hi\n")]),
        ("Write `Hello` to hello.txt", &[write("hello.txt", "Hello\n")]),
        ("Write \"v1.2\" to version.txt", &[write("version.txt", "v1.2\n")]),
        ("Write hello world into greeting.txt", &[write("greeting.txt", "hello world\n")]),
        ("Write the text \"abc\" in a file called out.txt", &[write("out.txt", "abc\n")]),
        ("Put \"abc\" into out.txt.", &[write("out.txt", "abc\n")]),
        ("Save `x = 1` as conf.ini", &[write("conf.ini", "x = 1\n")]),
        ("Make a file `a.txt` with content hello world", &[write("a.txt", "hello world\n")]),
        ("Create hello.txt containing: hello there", &[write("hello.txt", "hello there\n")]),
        ("Create the file a.txt whose content is `abc` without a trailing newline", &[write("a.txt", "abc")]),
        ("create an empty file empty.txt", &[write("empty.txt", "")]),
        ("touch marker.txt", &[write("marker.txt", "")]),
        ("Create a file hello.txt. It should contain `Hello`.", &[write("hello.txt", "Hello\n")]),
        ("I want you to create a file hello.txt with the line \"Hello\"", &[write("hello.txt", "Hello\n")]),
        (
            "Create a file called notes.txt in the docs folder with the content `x`",
            &[write("docs/notes.txt", "x\n")],
        ),
        (
            "Create a file named hello.txt in the root of the repository containing \"hi\"",
            &[write("hello.txt", "hi\n")],
        ),
        ("Create a file HELLO with the text \"hi\"", &[write("HELLO", "hi\n")]),
        (
            "Create `a.txt` and `b.txt`, each containing `same`",
            &[write("a.txt", "same\n"), write("b.txt", "same\n")],
        ),
        ("Create a.txt with `1` and b.txt with `2`", &[write("a.txt", "1\n"), write("b.txt", "2\n")]),
        ("Create a file x.txt with the lines `one` and `two`", &[write("x.txt", "one\ntwo\n")]),
        ("Create hello.py:\n```python\nprint('hi')\n```", &[write("hello.py", "print('hi')\n")]),
        (
            "Create a file `run.sh` with this content:\n\n```\n#!/bin/sh\necho \"a; rm b\"\n```\n",
            &[write("run.sh", "#!/bin/sh\necho \"a; rm b\"\n")],
        ),
        ("`src/a.sh`:\n```\necho 1\n```", &[write("src/a.sh", "echo 1\n")]),
        (
            "Create poem.txt with the text:\nRoses are red\nand violets too\n\nThen run `cat poem.txt`",
            &[write("poem.txt", "Roses are red\nand violets too\n"), run("cat poem.txt")],
        ),
        ("Add a LICENSE file with the text \"MIT\"", &[write("LICENSE", "MIT\n")]),
        ("Create a folder called assets", &[run("mkdir -p assets")]),
    ]);
}

#[test]
fn content_is_added() {
    check(&[
        ("Append `x` to notes.txt", &[append("notes.txt", "x\n")]),
        ("append to notes.txt: one more line", &[append("notes.txt", "one more line\n")]),
        ("Append the line \"x y\" to the file notes.txt", &[append("notes.txt", "x y\n")]),
        ("Add the line `- fixed` to CHANGELOG.md", &[append("CHANGELOG.md", "- fixed\n")]),
        ("Add a line to README.md saying \"Hello\"", &[append("README.md", "Hello\n")]),
        ("Add \"Hello\" at the end of README.md", &[append("README.md", "Hello\n")]),
        (
            "add a section to the README.md:\n```\n## Use\n\nRun it.\n```",
            &[append("README.md", "## Use\n\nRun it.\n")],
        ),
        (
            "Add `# Title` at the top of README.md",
            &[Prepend { path: "README.md".into(), content: "# Title\n".into() }],
        ),
        (
            "Prepend \"#!/bin/sh\" to run.sh",
            &[Prepend { path: "run.sh".into(), content: "#!/bin/sh\n".into() }],
        ),
        ("Create a.txt with `1`, then append `2` to it", &[write("a.txt", "1\n"), append("a.txt", "2\n")]),
    ]);
}

#[test]
fn text_is_replaced() {
    check(&[
        ("Replace `a b` with `c` in x.txt", &[replace("x.txt", "a b", "c")]),
        ("In `src/price.sh`, replace `/ 1000` with `/ 100`.", &[replace("src/price.sh", "/ 1000", "/ 100")]),
        ("in src/price.sh change `a` to `b`", &[replace("src/price.sh", "a", "b")]),
        ("Change \"Hello\" to \"Goodbye\" in greeting.txt", &[replace("greeting.txt", "Hello", "Goodbye")]),
        ("Change `a` in x.txt to `b`", &[replace("x.txt", "a", "b")]),
        ("Replace all `a` by `b` in x.txt", &[replace_all("x.txt", "a", "b")]),
        ("Replace every occurrence of \"foo\" with \"bar\" in x.txt", &[replace_all("x.txt", "foo", "bar")]),
        (
            "Fix the discount in `src/price.sh` by changing `1000` to `100`",
            &[replace("src/price.sh", "1000", "100")],
        ),
        ("Fix x.sh by replacing `-gt` with `-ge`.", &[replace("x.sh", "-gt", "-ge")]),
        ("Edit x.txt and replace `a` with `b`", &[replace("x.txt", "a", "b")]),
        ("Edit x.txt to replace `a` with `b`", &[replace("x.txt", "a", "b")]),
        ("Update x.txt: `a` -> `b`", &[replace("x.txt", "a", "b")]),
        ("Substitute `new` for `old` in x.txt", &[replace("x.txt", "old", "new")]),
        ("Use `b` instead of `a` in x.txt", &[replace("x.txt", "a", "b")]),
        ("In x.txt, `a` should be `b`.", &[replace("x.txt", "a", "b")]),
        ("Correct `teh` to `the` in README.md", &[replace("README.md", "teh", "the")]),
        ("replace foo with bar in x.txt", &[replace("x.txt", "foo", "bar")]),
        (
            "Rename the function `old_name` to `new_name` in lib.sh",
            &[replace_all("lib.sh", "old_name", "new_name")],
        ),
        (
            "Replace `a` with `b`",
            &[Replace { path: None, old: "a".into(), new: "b".into(), all: false, line: false }],
        ),
        ("There is a bug in lib.sh. Replace `a` with `b`", &[replace("lib.sh", "a", "b")]),
        ("Remove `debug` from x.txt", &[replace("x.txt", "debug", "")]),
        (
            "Remove the line `debug` from x.txt",
            &[Replace {
                path: Some("x.txt".into()),
                old: "debug".into(),
                new: String::new(),
                all: false,
                line: true,
            }],
        ),
        ("In x.txt replace\n```\na\n```\nwith\n```\nb\n```", &[replace("x.txt", "a", "b")]),
    ]);
}

#[test]
fn files_are_moved_and_removed() {
    check(&[
        ("Delete old.txt", &[delete("old.txt")]),
        ("Please remove the file `src/old.sh`.", &[delete("src/old.sh")]),
        ("remove a.txt and b.txt", &[delete("a.txt"), delete("b.txt")]),
        ("Delete the folder build", &[delete("build")]),
        ("Rename a.txt to b.txt", &[Rename { from: "a.txt".into(), to: "b.txt".into() }]),
        ("Move `a.txt` into the docs folder", &[Rename { from: "a.txt".into(), to: "docs/".into() }]),
        ("move src/a.txt to lib/a.txt", &[Rename { from: "src/a.txt".into(), to: "lib/a.txt".into() }]),
        ("Copy a.txt to b.txt", &[Copy { from: "a.txt".into(), to: "b.txt".into() }]),
        ("Read README.md", &[Read { path: "README.md".into() }]),
        ("Show me src/price.sh", &[Read { path: "src/price.sh".into() }]),
    ]);
}

#[test]
fn commands_are_run() {
    check(&[
        ("Run `sh test.sh`", &[run("sh test.sh")]),
        ("run sh test.sh", &[run("sh test.sh")]),
        ("Run `sh test.sh` to check that it works.", &[run("sh test.sh")]),
        ("Run sh test.sh to see whether it works", &[run("sh test.sh")]),
        ("Execute the command `ls -la`", &[run("ls -la")]),
        ("Run the following command: `ls`", &[run("ls")]),
        ("Run:\n```sh\ncd src\nls\n```", &[run("cd src\nls")]),
        ("Run the tests", &[run(RUN_TESTS)]),
        ("Run the test suite.", &[run(RUN_TESTS)]),
        ("Run the tests with `sh test.sh`", &[run("sh test.sh")]),
        ("Make sure that `sh test.sh` passes", &[run("sh test.sh")]),
        ("Verify with `sh test.sh`", &[run("sh test.sh")]),
        ("run `test.sh`", &[run("sh test.sh")]),
        ("Run `a` and `b`", &[run("a"), run("b")]),
        ("run echo \"a b\" > c.txt", &[run("echo \"a b\" > c.txt")]),
        ("Commit with the message \"It's done\"", &[run("git add -A && git commit -m 'It'\\''s done'")]),
        ("List the files", &[run("ls -la")]),
        ("Say hello", &[Say { text: "hello".into() }]),
        ("Reply with \"pong\"", &[Say { text: "pong".into() }]),
    ]);
}

#[test]
fn several_instructions_keep_their_order() {
    check(&[
        (
            crate::seed::SHOP_PROMPT,
            &[
                replace("src/price.sh", "/ 1000", "/ 100"),
                append("CHANGELOG.md", "- The discount is ten percent again.\n"),
                run("sh test.sh"),
            ],
        ),
        ("Create a.txt with `1` and run `cat a.txt`", &[write("a.txt", "1\n"), run("cat a.txt")]),
        (
            "Create a.txt with `1`, delete b.txt and then run the tests.",
            &[write("a.txt", "1\n"), delete("b.txt"), run(RUN_TESTS)],
        ),
        (
            "First, create a.txt containing `1`. Then, rename it.txt to c.txt. Finally run `ls`.",
            &[write("a.txt", "1\n"), Rename { from: "it.txt".into(), to: "c.txt".into() }, run("ls")],
        ),
        (
            "Please do the following:\n- create a.txt with `1`\n- append `2` to a.txt\n- run `cat a.txt`",
            &[write("a.txt", "1\n"), append("a.txt", "2\n"), run("cat a.txt")],
        ),
        (
            "1. Create a.txt with \"1\"\n2. Replace `x` with `y` in b.txt\n3) Delete c.txt",
            &[write("a.txt", "1\n"), replace("b.txt", "x", "y"), delete("c.txt")],
        ),
        ("Create a.txt with the text hello\nDelete b.txt", &[write("a.txt", "hello\n"), delete("b.txt")]),
        (
            "Create a file hello.txt with \"hi\", commit it and open a pull request.",
            &[write("hello.txt", "hi\n")],
        ),
        (
            "Create hello.txt with the content \"run `ls` and delete a.txt\"",
            &[write("hello.txt", "run `ls` and delete a.txt\n")],
        ),
    ]);
}

#[test]
fn what_is_no_instruction_is_left_alone() {
    for prompt in [
        "What does this repository do?",
        "Make it faster.",
        "The tests are slow.",
        "Explain the code to me",
        "",
        "Don't run `ls`.",
    ] {
        assert_eq!(read(prompt).instructions, [], "{prompt:?}");
    }
    assert!(read("Explain the code. Do not change any files.").hands_off);
    assert!(!read("Make it faster.").hands_off);
    assert_eq!(read("Create a.txt with `1`. Make it faster.").unclear, ["Make it faster"]);
    assert!(read("Create a.txt with `1`, then push and open a PR").asks_to_publish);
}
