package workspace_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/workspace"
)

const (
	zeros  = "0000000000000000000000000000000000000000"
	someID = "587be6b4c3f93f93c489c0111bba5596147a26cb" // the blob "x\n"
	nextID = "975fbec8256d3e8a3797e7a3611380f27c49f4ac" // the blob "y\n"
)

// zeroBomb is a literal that says it is 1 GiB.
const zeroBomb = "literal 1073741824\nHcmV?d00001\n\n"

// newFile is a patch that adds a file of one line. The name is written as it is
// in quotes: with git's escapes.
func newFile(name string) string {
	return `diff --git "a/` + name + `" "b/` + name + "\"\nnew file mode 100644\nindex " + zeros + ".." + someID +
		"\n--- /dev/null\n+++ \"b/" + name + "\"\n@@ -0,0 +1 @@\n+x\n"
}

// changeFile is a patch that changes a file of one line.
func changeFile(name string) string {
	return "diff --git a/" + name + " b/" + name + "\nindex " + someID + ".." + nextID + " 100644\n--- a/" + name + "\n+++ b/" + name + "\n@@ -1 +1 @@\n-x\n+y\n"
}

func commandIn(ctx context.Context, dir string, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	return cmd
}

// F09.
func TestNamesThatNothingCanAllow(t *testing.T) {
	tests := map[string]workspace.Rule{
		"../escape":                          workspace.RuleBadPath,
		"a/../../escape":                     workspace.RuleBadPath,
		"a/..":                               workspace.RuleBadPath,
		"./a":                                workspace.RuleBadPath,
		"a/./b":                              workspace.RuleBadPath,
		".. /a":                              workspace.RuleBadPath,
		"a/...":                              workspace.RuleBadPath,
		"a/":                                 workspace.RuleBadPath,
		"a\\\\b":                             workspace.RuleBadPath,
		"..\\\\..\\\\a":                      workspace.RuleBadPath,
		"a\\nb":                              workspace.RuleBadPath,
		"a\\rb":                              workspace.RuleBadPath,
		"a\\033[31mb":                        workspace.RuleBadPath,
		"a\\000b":                            workspace.RuleBadPath,
		"a\\177b":                            workspace.RuleBadPath,
		"a\u009bb":                           workspace.RuleBadPath,
		"a\u202eb":                           workspace.RuleBadPath,
		"a\u2028b":                           workspace.RuleBadPath,
		"a\\377b":                            workspace.RuleBadPath,
		strings.Repeat("x", 256):             workspace.RuleBadPath,
		strings.Repeat("x/", 2048) + "x":     workspace.RuleBadPath,
		strings.Repeat("x/", 100) + "x":      workspace.RuleBadPath,
		strings.Repeat("x/", 99) + "x":       "",
		".git/config":                        workspace.RuleGitFolder,
		".git":                               workspace.RuleGitFolder,
		"sub/.git/hooks/post-checkout":       workspace.RuleGitFolder,
		".GIT/config":                        workspace.RuleGitFolder,
		".Git/config":                        workspace.RuleGitFolder,
		".g\u0131t/config":                   "", // a dotless i is another letter everywhere
		".git /config":                       workspace.RuleGitFolder,
		".git./config":                       workspace.RuleGitFolder,
		".git . . /config":                   workspace.RuleGitFolder,
		".git::$INDEX_ALLOCATION/config":     workspace.RuleGitFolder,
		".git:x/config":                      workspace.RuleGitFolder,
		"git~1/config":                       workspace.RuleGitFolder,
		"GIT~2":                              workspace.RuleGitFolder,
		".g\u200cit/config":                  workspace.RuleBadPath,
		".gi\ufefft/config":                  workspace.RuleBadPath,
		"\u206a.git/config":                  workspace.RuleBadPath,
		"plain/na me/\u00fc \u65e5\u672c.md": "",
		"..a/b..c/d..":                       "",
		"git/config":                         "",
	}
	for name, want := range tests {
		for _, allow := range [][]string{nil, {"*"}, {"**"}, {"**/*", ".git", "**/.git/**"}} {
			_, err := workspace.ParsePatch(strings.NewReader(newFile(name)), workspace.Rules{Allow: allow})
			if want == "" {
				if err != nil {
					t.Errorf("%q: %v", name, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%q passes with --allow %q", name, allow)
				continue
			}
			for path, rule := range rules(t, err) {
				if rule != want {
					t.Errorf("%q is refused as %q by %q, want %q", name, path, rule, want)
				}
			}
		}
	}
}

// Whatever the header says, the name that is judged is the one that is used.
func TestTheNameThatIsUsedIsTheOneThatIsJudged(t *testing.T) {
	body := "index " + someID + ".." + nextID + " 100644\n"
	lines := "@@ -1 +1 @@\n-x\n+y\n"
	for want, patch := range map[string]string{
		".envrc": "diff --git a/x b/x\n" + body + "--- a/.envrc\n+++ b/.envrc\n" + lines,
		"etc/x":  "diff --git a//etc/x b//etc/x\n" + body + "--- /etc/x\n+++ /etc/x\n" + lines,
	} {
		parsed, err := workspace.ParsePatch(strings.NewReader(patch), workspace.Rules{Allow: []string{"*"}})
		must(t, err)
		header := "diff --git a/" + want + " b/" + want + "\n"
		if got := parsed.Files()[0].Path; got != want || !strings.HasPrefix(string(canonical(t, parsed)), header) {
			t.Errorf("judged %q, written\n%s", got, canonical(t, parsed))
		}
	}
}

// F11, and all else that needs a person's word.
func TestNamesThatHaveToBeAllowed(t *testing.T) {
	tests := map[string]struct {
		rule  workspace.Rule
		allow string
	}{
		".gitignore":                        {workspace.RuleGitFile, ".gitignore"},
		"a/b/.gitattributes":                {workspace.RuleGitFile, ".gitattributes"},
		".gitmodules":                       {workspace.RuleGitFile, ".git*"},
		".GitModules":                       {workspace.RuleGitFile, ".GitModules"},
		".gitmodules. ":                     {workspace.RuleGitFile, "*"},
		".github/workflows/ci.yml":          {workspace.RuleAutoRun, ".github"},
		".GITHUB/WORKFLOWS/ci.yml":          {workspace.RuleAutoRun, ".GITHUB/**"},
		".gitea/workflows/ci.yml":           {workspace.RuleAutoRun, ".gitea/workflows/*.yml"},
		".forgejo/workflows/ci.yml":         {workspace.RuleAutoRun, ".forgejo"},
		"action.yml":                        {workspace.RuleAutoRun, "action.yml"},
		"sub/action.yaml":                   {workspace.RuleAutoRun, "sub"},
		".vscode/tasks.json":                {workspace.RuleAutoRun, ".vscode/tasks.json"},
		"pkg/.vscode/settings.json":         {workspace.RuleAutoRun, "pkg/**"},
		".V\u017fCODE/settings.json":        {workspace.RuleAutoRun, "*"}, // a long s is an s without case
		".claude/settings.json":             {workspace.RuleAutoRun, ".claude"},
		"CLAUDE.md":                         {workspace.RuleAutoRun, "CLAUDE.md"},
		"claude.md":                         {workspace.RuleAutoRun, "claude.md"},
		".mcp.json":                         {workspace.RuleAutoRun, ".mcp.json"},
		".husky/pre-commit":                 {workspace.RuleAutoRun, ".husky"},
		"lefthook.yml":                      {workspace.RuleAutoRun, "lefthook.*"},
		".envrc":                            {workspace.RuleAutoRun, ".envrc"},
		".envrc.":                           {workspace.RuleAutoRun, ".envrc."},
		".envrc:stream":                     {workspace.RuleAutoRun, "*"},
		"sub/.env":                          {workspace.RuleAutoRun, "sub/.env"},
		".npmrc":                            {workspace.RuleAutoRun, ".npmrc"},
		".cargo/config.toml":                {workspace.RuleAutoRun, ".cargo"},
		"gradle/wrapper/gradle-wrapper.jar": {workspace.RuleAutoRun, "gradle"},
		"docs/CODEOWNERS":                   {workspace.RuleAutoRun, "docs/*"},
		".hg/hgrc":                          {workspace.RuleAutoRun, ".hg"},
		"_darcs/prefs/defaults":             {workspace.RuleAutoRun, "_darcs"},
		".venv/bin/python":                  {workspace.RuleAutoRun, ".venv"},
		"web/node_modules/eslint/index.js":  {workspace.RuleAutoRun, "web"},
		".replit":                           {workspace.RuleAutoRun, ".replit"},
		"desktop.ini":                       {workspace.RuleAutoRun, "desktop.ini"},
		".bot-bottle/agents/x.md":           {workspace.RuleAutoRun, ".bot-bottle"},
		"HEAD":                              {workspace.RuleBareRepo, "HEAD"},
		"fixtures/head":                     {workspace.RuleBareRepo, "fixtures"},
		"VSCODE~1/tasks.json":               {workspace.RuleShortName, "VSCODE~1"},
		"gitmod~1":                          {workspace.RuleShortName, "gitmod~1"},
		"a:b":                               {workspace.RuleStream, "a:b"},
	}
	for name, test := range tests {
		_, err := workspace.ParsePatch(strings.NewReader(newFile(name)), workspace.Rules{Allow: []string{"other", "*.none"}})
		if err == nil {
			t.Errorf("%q passes", name)
			continue
		}
		if got := rules(t, err)[name]; got != test.rule {
			t.Errorf("%q is refused by %q, want %q", name, got, test.rule)
		}
		patch, err := workspace.ParsePatch(strings.NewReader(newFile(name)), workspace.Rules{Allow: []string{test.allow}})
		if err != nil {
			t.Errorf("%q with --allow %q: %v", name, test.allow, err)
			continue
		}
		if patch.Files()[0].AutoRun == "" {
			t.Errorf("%q passes with --allow %q and nobody is told", name, test.allow)
		}
	}
}

func TestPathsThatCannotLieBesideEachOther(t *testing.T) {
	tests := map[string]struct {
		patch string
		want  workspace.Rule
	}{
		"twice":               {newFile("a") + newFile("a"), workspace.RuleDuplicate},
		"case":                {newFile("readme") + newFile("README"), workspace.RuleCollision},
		"case, not ASCII":     {newFile("\u00fc") + newFile("\u00dc"), workspace.RuleCollision},
		"case, kelvin sign":   {newFile("k") + newFile("\u212a"), workspace.RuleCollision},
		"trailing dot":        {newFile("a") + newFile("a."), workspace.RuleCollision},
		"case of folder":      {newFile("Dir/a") + newFile("dir/b"), workspace.RuleCollision},
		"file, then folder":   {newFile("a") + newFile("a/b"), workspace.RuleCollision},
		"folder, then file":   {newFile("a/b") + newFile("A"), workspace.RuleCollision},
		"file and deep in it": {newFile("a") + newFile("A/b/c"), workspace.RuleCollision},
		"apart":               {newFile("a/b") + newFile("a/c") + newFile("ab"), ""},
	}
	for name, test := range tests {
		_, err := workspace.ParsePatch(strings.NewReader(test.patch), workspace.Rules{})
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: passes", name)
			continue
		}
		for path, rule := range rules(t, err) {
			if rule != test.want {
				t.Errorf("%s: %q is refused by %q, want %q", name, path, rule, test.want)
			}
		}
	}
}

// What a guest may print that git diff doesn't, and other readers of a patch may
// take differently.
func TestPatchesThatGitDoesNotPrint(t *testing.T) {
	head := "diff --git a/x b/x\n"
	index := "index " + someID + ".." + nextID
	sides := "--- a/x\n+++ b/x\n"
	tests := map[string]string{
		"symlink":                  head + "new file mode 120000\nindex " + zeros + ".." + someID + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n",
		"symlink retargeted":       head + index + " 120000\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"to symlink":               head + "old mode 100644\nnew mode 120000\n",
		"gitlink":                  head + "new file mode 160000\nindex " + zeros + ".." + someID + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+Subproject commit " + someID + "\n",
		"setuid":                   head + "new file mode 104755\nindex " + zeros + ".." + someID + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n",
		"device":                   head + "new file mode 020644\nindex " + zeros + ".." + someID + "\n",
		"folder":                   head + "new file mode 040000\nindex " + zeros + ".." + someID + "\n",
		"group writable":           head + "old mode 100644\nnew mode 100664\n",
		"no mode":                  head + index + "\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"same mode":                head + "old mode 100644\nnew mode 100644\n",
		"rename":                   "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
		"rename, old style":        "diff --git a/x b/y\nrename old x\nrename new y\n",
		"rename by sides":          "diff --git a/x b/y\n" + index + " 100644\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-x\n+y\n",
		"rename out":               "diff --git a/x b/../../y\n" + index + " 100644\n--- a/x\n+++ b/../../y\n@@ -1 +1 @@\n-x\n+y\n",
		"copy":                     "diff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\n",
		"short ids":                head + "index 587be6b..975fbec 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"no ids":                   head + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"ids of two formats":       head + "index " + someID + ".." + strings.Repeat("1", 64) + " 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"upper case ids":           head + "index " + strings.ToUpper(someID) + ".." + nextID + " 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"not new, null id":         head + "index " + zeros + ".." + nextID + " 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\n",
		"new, not null id":         head + "new file mode 100644\n" + index + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+y\n",
		"new and deleted":          head + "new file mode 100644\ndeleted file mode 100644\nindex " + zeros + ".." + zeros + "\n",
		"new without content":      head + "new file mode 100644\nindex " + zeros + ".." + someID + "\n",
		"deleted without content":  head + "deleted file mode 100644\nindex " + someID + ".." + zeros + "\n",
		"ids without content":      head + "old mode 100644\nnew mode 100755\n" + index + "\n",
		"nothing":                  head,
		"ids only":                 head + "index " + someID + ".." + someID + " 100644\n",
		"binary without data":      head + index + " 100644\nBinary files a/x and b/x differ\n",
		"binary, size wrong":       head + index + " 100644\nGIT binary patch\nliteral 7\nHcmV?d00001\n\n",
		"binary, not zlib":         head + index + " 100644\nGIT binary patch\nliteral 1\nA00000\n\n",
		"binary and text":          head + index + " 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
		"no context, insertion":    head + index + " 100644\n" + sides + "@@ -5,0 +6 @@\n+y\n",
		"no context, deletion":     head + index + " 100644\n" + sides + "@@ -5 +4,0 @@\n-x\n",
		"negative":                 head + index + " 100644\n" + sides + "@@ --5,1 +1,1 @@\n-x\n+y\n",
		"huge":                     head + index + " 100644\n" + sides + "@@ -9223372036854775807 +9223372036854775807 @@\n-x\n+y\n",
		"positions disagree":       head + index + " 100644\n" + sides + "@@ -1 +9 @@\n-x\n+y\n",
		"out of order":             head + index + " 100644\n" + sides + "@@ -5 +5 @@\n-x\n+y\n@@ -1 +1 @@\n-x\n+y\n",
		"overlap":                  head + index + " 100644\n" + sides + "@@ -1,2 +1,2 @@\n-x\n+y\n a\n@@ -2 +2 @@\n-a\n+b\n",
		"line without end inside":  head + index + " 100644\n" + sides + "@@ -1,2 +1,2 @@\n-x\n\\ No newline at end of file\n-z\n+y\n+z\n",
		"line without end earlier": head + index + " 100644\n" + sides + "@@ -1 +1 @@\n-x\n+y\n\\ No newline at end of file\n@@ -9 +9 @@\n-x\n+y\n",
		"miscounted":               head + index + " 100644\n" + sides + "@@ -1,3 +1,3 @@\n-x\n+y\n",
		"new file in pieces":       head + "new file mode 100644\nindex " + zeros + ".." + someID + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n@@ -0,0 +2 @@\n+x\n",
		"text before":              "hello\n" + changeFile("x"),
		"text between":             changeFile("x") + "hello\n" + changeFile("y"),
		"text after":               changeFile("x") + "hello\n",
		"combined diff":            changeFile("x") + "diff --cc y\nindex 1,2..3\n--- a/y\n+++ b/y\n",
		"header line twice":        head + "new file mode 100644\nnew file mode 100644\nindex " + zeros + ".." + someID + "\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n",
		"traditional":              "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n",
		"traditional, second":      changeFile("x") + "--- a/y\n+++ b/y\n@@ -1 +1 @@\n-x\n+y\n",
		"only a fragment":          "@@ -1 +1 @@\n-x\n+y\n",
		"cut short":                strings.TrimSuffix(changeFile("x"), "+y\n"),
	}
	for name, patch := range tests {
		if got, err := workspace.ParsePatch(strings.NewReader(patch), workspace.Rules{Allow: []string{"*"}}); err == nil {
			t.Errorf("%s: passes as %+v", name, got.Files())
		}
	}
	for _, good := range []string{newFile("x"), changeFile("x"), head + "old mode 100644\nnew mode 100755\n"} {
		if _, err := workspace.ParsePatch(strings.NewReader(good), workspace.Rules{}); err != nil {
			t.Errorf("what the bad ones are made from: %v", err)
		}
	}
}

// The parser takes weeks for the first of these.
func TestNamesTooLongForAnyFileAreRefusedBeforeTheyAreParsed(t *testing.T) {
	for name, header := range map[string]string{
		"one line":          "a/x" + strings.Repeat(" ", workspace.DefaultMaxPatchBytes-64) + "x",
		"many deep paths":   "a/" + strings.Repeat("x /", 4096) + " b/x",
		"a name, in quotes": `"a/` + strings.Repeat(`\001`, 300) + `" "b/x"`,
	} {
		_, err := workspace.ParsePatch(strings.NewReader("diff --git "+header+"\n"), workspace.Rules{})
		if err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s: %v", name, err)
		}
	}
	longest := strings.Repeat(strings.Repeat(`\001`, 255)+"/", 15) + "x"
	if _, err := workspace.ParsePatch(strings.NewReader("diff --git \"a/"+longest+"\" \"b/"+longest+"\"\n"), workspace.Rules{}); err == nil || strings.Contains(err.Error(), "too long") {
		t.Errorf("the longest path that there can be: %v", err)
	}
}

func TestPatternsThatCannotBeRead(t *testing.T) {
	for _, pattern := range []string{"", "/abs", "a//b", "a/../b", "./a", "a/", "[", "a/[b", `a\`} {
		if err := workspace.ValidateAllow([]string{"fine", pattern}); err == nil || hintsOf(err) == "" {
			t.Errorf("%q gives %v", pattern, err)
		}
		if _, err := workspace.ParsePatch(strings.NewReader(""), workspace.Rules{Allow: []string{pattern}}); err == nil {
			t.Errorf("%q is taken", pattern)
		}
	}
	if err := workspace.ValidateAllow([]string{".gitignore", "docs/**/*.md", "**", "[a-z]?"}); err != nil {
		t.Error(err)
	}
}

func TestPatternsMeanWhatTheDocumentationSays(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{".envrc", ".envrc", true},
		{".envrc", "a/b/.envrc", true},
		{"a/.envrc", "b/a/.envrc", false},
		{"a/*", "a/b/.envrc", true}, // the folder a/b is covered
		{"a/*/.envrc", "a/.envrc", false},
		{"**/.envrc", ".envrc", true},
		{"a/**/.envrc", "a/.envrc", true},
		{"a/**/.envrc", "a/b/c/.envrc", true},
		{"a/**", "a/.envrc", true},
		{"?envrc", ".envrc", true},
		{"*.rc", ".envrc", false},
		{".ENVRC", ".envrc", false},
	}
	for _, test := range tests {
		_, err := workspace.ParsePatch(strings.NewReader(newFile(test.path)), workspace.Rules{Allow: []string{test.pattern}})
		if (err == nil) != test.want {
			t.Errorf("--allow %q on %q: %v", test.pattern, test.path, err)
		}
	}
}
