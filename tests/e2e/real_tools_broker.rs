//! Tools whose files all pass the broker: what they leave behind is compared with a run outside.

use serde_json::json;
use srt_tests::{Area, Events, Identity, Rules, each, for_each_identity, skip};

/// What a run leaves: names, types, modes, links and contents below `work/`; with `times`, also when files were changed. `without` are names
/// that hold a time or an inode number themselves.
fn result(area: &Area, times: bool, without: &str) -> String {
    let time = if times { " %T@" } else { "" };
    let script = format!(
        "find . {without} -printf '%P %y %m %n %l{time}\\n' | sed 's/\\.0*$//' | sort; find . {without} -type f -exec md5sum {{}} + | sort -k2"
    );
    let outcome = area.outside("/bin/bash").args(&["-c", &script]).limit(120).run();
    outcome.assert_code(0);
    outcome.out()
}

struct Job<'a> {
    tools: &'a [&'a str],
    script: &'a str,
    /// Are times of files part of the result?
    times: bool,
    /// `find` expression that leaves names out.
    without: &'a str,
    rules: fn(&Area) -> Rules,
}

impl Default for Job<'_> {
    fn default() -> Self {
        Job { tools: &[], script: "", times: false, without: "", rules: Area::rules }
    }
}

impl Job<'_> {
    /// Runs it outside and inside: the same status, the same last line, the same files, and not one denial.
    #[track_caller]
    fn assert_same(&self) {
        for_each_identity(|who| self.same_as(who));
    }

    fn same_as(&self, who: Identity) {
        let (twin, area) = (Area::new(who), Area::new(who));
        for tool in self.tools {
            if twin.outside("/bin/sh").args(&["-c", &format!("command -v {tool}")]).run().code() != Some(0) {
                skip!("{}: {tool} is not installed", who.name);
            }
        }
        let script = format!("set -e\n{}", self.script);
        let outside = twin.outside("/bin/bash").args(&["-c", &script]).limit(180).run();
        outside.assert_code(0);
        let words = ["/bin/bash", "-c", &script];
        let (inside, events) = Events::of_program(&area, &(self.rules)(&area), |program| program.args(&words).limit(180));
        inside.assert_code(0);
        assert_eq!(inside.out(), outside.out(), "{inside}");
        events.assert_none(&inside);
        let (expected, got) = (result(&twin, self.times, self.without), result(&area, self.times, self.without));
        assert!(expected.lines().count() > 1, "the job leaves something behind");
        each(expected.lines().zip(got.lines()), |(outside, inside)| assert_eq!(inside, outside));
        assert_eq!(got.lines().count(), expected.lines().count(), "{got}");
    }
}

#[test]
fn a_compiler_and_make_build_the_same() {
    let script = r#"
        for i in $(seq 30); do echo "int f$i(int x) { return x + $i; }" >f$i.c; echo "int f$i(int);" >>all.h; done
        { echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void){int s=0;'; for i in $(seq 30); do echo "s=f$i(s);"; done; echo 'printf("%d\n", s);}'; } >main.c
        printf 'OBJECTS = $(patsubst %%.c,%%.o,$(wildcard *.c))\nprog: $(OBJECTS)\n\tcc -o $@ $^\n%%.o: %%.c\n\tcc -O1 -c -o $@ $<\nlib.a: $(OBJECTS)\n\tar rcsD $@ $^\n' >Makefile
        make -s -j4 prog lib.a; ./prog"#;
    Job { tools: &["make", "cc", "ar"], script, ..Job::default() }.assert_same();
}

const GIT: &str = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
    export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1";

/// What a command needs that makes repositories.
fn repository_rules(area: &Area) -> Rules {
    area.rules().set("filesystem", "allowGitConfig", json!(true)).set("", "unprotect", json!([".git/hooks"]))
}

#[test]
fn git_makes_commits_branches_clones_and_packs_the_same() {
    let script = format!(
        "{GIT}; git init -q -b main repo; cd repo; for i in $(seq 50); do echo $i >f$i; done; mkdir d; ln -s ../f1 d/l; git add .; git commit -qm one
        git checkout -qb other; echo x >>f1; git mv f2 d/; git commit -qam two; git checkout -q main; git merge -q --no-edit other; git tag v1
        git stash list; echo y >>f3; git stash -q; git stash pop -q; git commit -qam three; git repack -adq; cd ..
        git clone -q repo copy; cd copy; git remote set-url origin ../repo; echo z >>f4; git commit -qam four; git push -q origin HEAD:refs/heads/pushed; git gc -q; git fsck --strict
        cd ../repo; git worktree list | wc -l; git log --oneline --all | sort"
    );
    // The index and the reflog hold times and inode numbers.
    let without = "-path '*/.git/index' -prune -o -path '*/.git/logs' -prune -o -name 'pack*' -prune -o -name '*.rev' -prune -o -true";
    Job { tools: &["git"], script: &script, without, rules: repository_rules, ..Job::default() }.assert_same();
}

#[test]
fn npm_installs_a_local_package_the_same() {
    let script = r#"
        export npm_config_cache=$PWD/cache npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false npm_config_offline=true
        mkdir -p dep app; echo '{"name":"dep","version":"1.0.0","main":"i.js","bin":{"dep":"i.js"}}' >dep/package.json
        printf '#!/usr/bin/env node\nmodule.exports = 42; console.log("dep")\n' >dep/i.js
        echo '{"name":"app","version":"1.0.0","scripts":{"go":"dep && node -p \"require(\\\"dep\\\")\""}}' >app/package.json
        cd dep; npm pack --silent; mv dep-1.0.0.tgz ..; cd ../app; npm install --silent ../dep-1.0.0.tgz >/dev/null; npm run --silent go"#;
    let without = "-name cache -prune -o -name '*.tgz' -prune -o -true";
    Job { tools: &["npm", "node"], script, without, ..Job::default() }.assert_same();
}

#[test]
fn sqlite_keeps_its_database_in_every_journal_mode() {
    let script = r#"python3 -c '
import os, sqlite3, multiprocessing
def add(mode, start):
    c = sqlite3.connect(mode + ".db", timeout=60)
    for i in range(start, start + 100):
        with c: c.execute("insert into t values (?)", (i,))
    c.close()
for mode in ["delete", "truncate", "persist", "wal", "memory"]:
    c = sqlite3.connect(mode + ".db"); print(c.execute("pragma journal_mode=" + mode).fetchone()[0]); c.execute("create table t (x)"); c.close()
    ps = [multiprocessing.Process(target=add, args=(mode, 100 * p)) for p in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]
    c = sqlite3.connect(mode + ".db"); print(c.execute("select count(*), sum(x) from t").fetchone(), c.execute("pragma integrity_check").fetchone())
    c.execute("vacuum"); c.close()
'; command -v sqlite3 >/dev/null && sqlite3 wal.db 'select count(*) from t; create table u as select x*2 as y from t; select sum(y) from u;'"#;
    // Pages hold counters of changes, in the order in which the writers came.
    Job { tools: &["python3"], script, ..Job::default() }.assert_same_output();
}

impl Job<'_> {
    /// For results that are never twice the same byte for byte: status and output are.
    #[track_caller]
    fn assert_same_output(&self) {
        for_each_identity(|who| {
            let (twin, area) = (Area::new(who), Area::new(who));
            for tool in self.tools {
                if twin.outside("/bin/sh").args(&["-c", &format!("command -v {tool}")]).run().code() != Some(0) {
                    skip!("{}: {tool} is not installed", who.name);
                }
            }
            let words = ["-c", self.script];
            let outside = twin.outside("/bin/bash").args(&words).limit(180).run();
            let run = |program: srt_tests::Program| program.args(&["/bin/bash"]).args(&words).limit(180);
            let (inside, events) = Events::of_program(&area, &(self.rules)(&area), run);
            outside.assert_code(0);
            assert_eq!((inside.out(), inside.code()), (outside.out(), Some(0)), "{inside}");
            events.assert_none(&inside);
        });
    }
}

/// A tree with modes, links, times and a FIFO.
const TREE: &str = "umask 022; mkdir -p t/a/b t/empty; for i in $(seq 200); do echo $i >t/a/f$i; done; ln t/a/f1 t/a/b/hard; ln -s ../f2 t/a/b/soft; mkfifo t/fifo
    chmod 700 t/a/b; chmod 4711 t/a/f3 2>/dev/null || chmod 711 t/a/f3; chmod 600 t/a/f4; touch -d '2020-02-03 04:05:06' t/a/f* t/a/b t/empty t/fifo; touch -h -d '2019-01-01' t/a/b/soft; touch -d '2021-01-01' t/a t";

#[test]
fn tar_rsync_and_cp_keep_modes_links_and_times() {
    // Without set-user-id: whether that is kept depends on who calls srt.
    let tree = TREE.replace("chmod 4711 t/a/f3 2>/dev/null || ", "");
    let without = "-name '*.tar' -prune -o -name . -o -true";
    for (tool, copy) in [
        ("tar", "tar cf t.tar t; mkdir u; tar xpf t.tar -C u; rm t.tar; touch -d '2021-01-01' u ."),
        (
            "cp",
            "cp -a t u; cp -al t v; cp -r --preserve=mode t/a w; touch -d '2021-01-01' w w/* w/b w/b/* .; touch -h -d '2019-01-01' w/b/soft",
        ),
        ("rsync", "rsync -aH t/ u/; rsync -a --delete t/a/ u/; rsync -a --inplace t/a/f1 u/f2; touch -d '2021-01-01' u ."),
        ("mv", "mkdir ../work/x; cp -a t u; mv u x/; mv x/u/a/f1 renamed; mv -T x/u/a v; touch -d '2021-01-01' x x/u v ."),
        (
            "install",
            "install -m 751 t/a/f1 i1; install -d -m 1770 id; install -m 604 -t id t/a/f2 t/a/f5; touch -d '2021-01-01' i1 id id/* .",
        ),
    ] {
        Job { tools: &[tool], script: &format!("{tree}; {copy}"), times: true, without, ..Job::default() }.assert_same();
    }
}

#[test]
fn editors_save_by_rename_and_in_place() {
    let script = r"
        printf 'one\ntwo\n' >f; chmod 640 f; sed -i 's/one/1/' f; sed -i.bak 's/two/2/' f; perl -pi -e 's/1/uno/' f; perl -i.orig -pe 's/2/dos/' f
        command -v vim >/dev/null && vim -u NONE -i NONE -es -c '%s/uno/vim/' -c wq f </dev/null; cat f
        printf 'tmp\n' >f.new; mv -f f.new f; ln -s f l; sed -i --follow-symlinks 's/tmp/link/' l; cat f; cp --remove-destination f g; truncate -s 3 g; dd if=/dev/zero of=g bs=1 seek=5 count=2 conv=notrunc 2>/dev/null
        t=$(mktemp); echo x >$t; rm $t; d=$(mktemp -d); echo y >$d/y; rm -r $d; m=$(mktemp ./here.XXXXXX); stat -c %a $m; rm $m";
    Job { tools: &["sed", "perl"], script, ..Job::default() }.assert_same();
}

#[test]
fn shells_use_fifos_locks_and_redirections() {
    let script = r#"
        diff <(seq 100) <(seq 100) && echo same; tee >(wc -l >lines) <<<$'a\nb' >/dev/null; sleep 0.2; cat lines
        mkfifo p; seq 1000 >p & sort -rn <p | head -1; wait; echo a 3>three >&3; exec 4<>four; echo x >&4; exec 4>&-
        for i in $(seq 8); do (for j in $(seq 25); do flock lock -c 'n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) >n'; done) & done; wait; cat n
        flock -n lock -c 'flock -n lock true || echo locked'; set -o noclobber; echo x >once; (echo y >once) 2>/dev/null || echo kept; cat once"#;
    Job { tools: &["flock"], script, ..Job::default() }.assert_same();
}

#[test]
fn eight_processes_count_with_exclusive_lock_files() {
    let script = r#"python3 -c '
import os, time, multiprocessing
def work():
    for _ in range(100):
        while True:
            try: fd = os.open("lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600); break
            except FileExistsError: time.sleep(0.0005)
        n = int(open("n").read()); open("n", "w").write(str(n + 1)); os.close(fd); os.unlink("lock")
open("n", "w").write("0")
ps = [multiprocessing.Process(target=work) for _ in range(8)]; [p.start() for p in ps]; [p.join() for p in ps]
print(open("n").read())'"#;
    Job { tools: &["python3"], script, ..Job::default() }.assert_same();
}

#[test]
fn eight_processes_create_ten_thousand_files() {
    let script = r#"python3 -c '
import os, multiprocessing
def work(p):
    os.umask(0o027)
    for i in range(1250):
        d = "%d/%d" % (p, i % 10); os.makedirs(d, exist_ok=True)
        with open("%s/%d" % (d, i), "w") as f: f.write("%d %d" % (p, i))
        if i % 5 == 0: os.rename("%s/%d" % (d, i), "%s/r%d" % (d, i))
        if i % 7 == 0: os.symlink("x%d" % i, "%s/l%d" % (d, i))
        if i % 11 == 0: os.chmod("%s/%s%d" % (d, "r" if i % 5 == 0 else "", i), 0o700)
        if i % 13 == 0: os.unlink("%s/%s%d" % (d, "r" if i % 5 == 0 else "", i))
ps = [multiprocessing.Process(target=work, args=(p,)) for p in range(8)]; [p.start() for p in ps]; [p.join() for p in ps]'
        find . -type f | wc -l"#;
    Job { tools: &["python3"], script, ..Job::default() }.assert_same();
}

#[test]
fn a_go_program_is_built_and_creates_files_from_many_goroutines() {
    let script = r#"
        export GOCACHE=$PWD/cache GOPATH=$PWD/path GOFLAGS=-mod=mod GOTOOLCHAIN=local GO111MODULE=on CGO_ENABLED=0
        mkdir p; cd p; printf 'module p\n\ngo 1.19\n' >go.mod
        cat >main.go <<'GO'
package main

import ("fmt"; "os"; "os/exec"; "sync")

func main() {
	var group sync.WaitGroup
	for g := 0; g < 64; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 30; i++ {
				name := fmt.Sprintf("f-%d-%d", g, i)
				if err := os.WriteFile(name, []byte(name), 0o644); err != nil { panic(err) }
				if err := os.Rename(name, name+".x"); err != nil { panic(err) }
				if i%10 == 0 { if err := exec.Command("true").Run(); err != nil { panic(err) } }
			}
		}(g)
	}
	group.Wait()
	fmt.Println("end")
}
GO
        go build -trimpath -o p .; ./p; ls | wc -l; cd ..; chmod -R u+w path 2>/dev/null || true"#;
    let without = "-name cache -prune -o -name path -prune -o -true";
    Job { tools: &["go"], script, without, ..Job::default() }.assert_same();
}

#[test]
fn python_writes_copies_archives_and_byte_code() {
    let script = r#"mkdir pkg; echo 'x = 1' >pkg/__init__.py; python3 -B -c '
import os, shutil, tempfile, zipfile, pathlib, fcntl, mmap
with tempfile.NamedTemporaryFile(dir=".", delete=False) as f: f.write(b"named"); n = f.name
os.replace(n, "named"); os.chmod("named", 0o644)
with tempfile.TemporaryFile(dir=".") as f: f.write(b"x"); f.flush(); print(os.fstat(f.fileno()).st_nlink)
shutil.copytree("pkg", "copied", symlinks=True); shutil.make_archive("archive", "tar", "pkg"); os.remove("archive.tar"); shutil.rmtree("copied")
fd = os.open("mapped", os.O_RDWR | os.O_CREAT, 0o644); os.ftruncate(fd, 4096); m = mmap.mmap(fd, 4096); m[:5] = b"hello"; m.flush(); m.close()
fcntl.lockf(fd, fcntl.LOCK_EX); os.posix_fallocate(fd, 0, 8192); os.close(fd)
d = os.open(".", os.O_RDONLY); os.mkdir("below", dir_fd=d); os.rename("below", "there", src_dir_fd=d, dst_dir_fd=d); os.symlink("there", "sym", dir_fd=d); os.utime("there", (1, 1), dir_fd=d)
pathlib.Path("a/b/c").mkdir(parents=True); pathlib.Path("a/b/c/t").touch(); os.link("a/b/c/t", "a/t2"); os.rmdir("there")'
        python3 -m compileall -q --invalidation-mode unchecked-hash pkg; find . | sort"#;
    Job { tools: &["python3"], script, ..Job::default() }.assert_same();
}
