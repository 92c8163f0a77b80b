package workspace

import (
	"sync"

	"github.com/bot-bottle/action/internal/gitpath"
)

// autoRun is one kind of file that some tool runs, or takes orders from, by
// itself: because a folder is opened, entered, pushed or cloned, and nobody
// asked for this file to be run. What a person has to ask for (make, npm
// install, a test) isn't here: that is the code which is reviewed in any case.
type autoRun struct {
	reason   string
	patterns []string // each at any depth, whatever the case
}

// autoRuns is the list. A new tool is one more line here.
func autoRuns() []autoRun {
	return []autoRun{
		{"the forge runs it on a push", []string{
			".github/**", ".gitea/**", ".forgejo/**", ".gitlab/**", ".gitlab-ci.yml", "*.gitlab-ci.yml",
			"action.yml", "action.yaml",
			".woodpecker/**", ".woodpecker.yml", ".woodpecker.yaml", ".drone.yml", ".drone.star", ".drone.jsonnet",
			".circleci/**", ".travis.yml", ".buildkite/**", ".ci/**", "azure-pipelines*.yml", ".azure-pipelines/**",
			".azure/pipelines/**", "bitbucket-pipelines.yml", "Jenkinsfile", "Jenkinsfile.*", "appveyor.yml", ".appveyor.yml",
			".cirrus.yml", ".cirrus.star", ".semaphore/**", ".teamcity/**", ".build.yml", ".builds/**", ".tekton/**",
			".harness/**", "cloudbuild.yaml", "cloudbuild.yml", "buildspec.yml", "screwdriver.yaml", "codemagic.yaml",
			"bitrise.yml", ".taskcluster.yml", ".zuul.yaml", "zuul.yaml", ".zuul.d/**", "zuul.d/**", ".prow.yaml", ".prow/**",
			".readthedocs.yml", ".readthedocs.yaml", "netlify.toml", "vercel.json", "amplify.yml",
		}},
		{"the forge takes the right to approve from it", []string{"CODEOWNERS", "OWNERS", "OWNERS_ALIASES", ".mergify.yml", ".kodiak.toml", ".bulldozer.yml"}},
		{"git runs it as a hook, by way of a hook manager", []string{
			".husky/**", ".huskyrc*", "lefthook.yml", "lefthook.yaml", "lefthook.toml", "lefthook.json", ".lefthook.*", ".lefthook/**",
			".lefthook-local/**", "lefthook-local.*", ".pre-commit-config.yaml", "prek.toml", ".overcommit.yml", ".overcommit/**",
			"captainhook.json", "grumphp.yml", "grumphp.yml.dist", ".simple-git-hooks.*", "simple-git-hooks.*", ".lintstagedrc*",
			"lint-staged.config.*", ".hooks/**", ".yorkie/**",
		}},
		{"another version control system takes its settings from it, and with these the programs that it runs", []string{
			".hg/**", ".sl/**", ".jj/**", ".svn/**", ".bzr/**", ".pijul/**", "_darcs/**", ".fslckout", "_FOSSIL_", ".hgsub", ".hg-autohooks/**",
		}},
		{"an editor runs it when the folder is opened", []string{
			".vscode/**", "*.code-workspace", ".idea/**", "*.iml", "*.ipr", ".run/**", ".fleet/**", ".zed/**", ".vs/**",
			".theia/**", ".nova/**", "*.sublime-project", ".devcontainer/**", ".devcontainer.json",
			".vimrc", ".exrc", ".nvimrc", ".nvim.lua", ".lvimrc", ".vim/**", ".dir-locals.el", ".dir-locals-2.el",
			".ycm_extra_conf.py", ".luarc.json", ".luarc.jsonc", ".helix/**", ".kakrc", ".kak/**",
			".venv/**", "venv/**", "pyvenv.cfg", "node_modules/**", // editors look for interpreters and language servers there
			".idx/**", ".replit", "replit.nix", ".nvim/**", ".nvimrc.lua", ".solargraph.yml", ".ctags", ".ctags.d/**",
		}},
		{"a coding agent takes its settings or orders from it", []string{
			".claude/**", ".claude.json", "CLAUDE.md", "CLAUDE.local.md", ".mcp.json", "mcp.json", "AGENTS.md", "AGENTS.override.md", "AGENT.md", ".agents/**", ".agent/**",
			".codex/**", ".gemini/**", "GEMINI.md", ".cursor/**", ".cursorrules", ".windsurf/**", ".windsurfrules", ".clinerules", ".clinerules/**",
			".roo/**", ".roorules*", ".kilocode/**", ".continue/**", ".aider*", ".amazonq/**", ".kiro/**", ".junie/**", ".opencode/**", "opencode.json", "opencode.jsonc",
			".goosehints", ".goose/**", ".crush/**", "crush.json", ".crush.json", "CRUSH.md", "QWEN.md", ".qwen/**", ".trae/**", ".augment/**", ".augment-guidelines",
			".factory/**", ".amp/**", ".bot-bottle/**", "WARP.md", ".warp/**", ".pi/**", ".grok/**", ".jules/**", "copilot-instructions.md",
		}},
		{"a shell or environment manager loads it when the folder is entered", []string{
			".envrc", ".env", ".env.local", ".env.*.local", ".flaskenv", ".autoenv", ".autoenv.zsh", ".autoenv_leave.zsh", ".autoenv.leave",
			".mise.toml", "mise.toml", ".mise.*.toml", "mise.*.toml", ".mise/**", "mise/**", ".config/mise/**", ".config/mise.toml", ".rtx.toml", ".rtx/**",
			".tool-versions", ".hermit/**", ".devenv/**", "devenv.nix", "devenv.yaml", "devbox.json", ".shadowenv.d/**",
			".nvmrc", ".node-version", ".python-version", ".ruby-version", ".java-version", ".sdkmanrc",
		}},
		{"an interpreter or debugger loads it from the folder it is started in", []string{
			"sitecustomize.py", "usercustomize.py", ".pdbrc", ".Rprofile", ".Renviron", ".irbrc", ".pryrc", ".rdbgrc", ".byebugrc",
			".iex.exs", ".ghci", ".ocamlinit", ".utoprc", ".octaverc", ".perldb", ".gdbinit", ".lldbinit", ".erlang", ".psysh.php", ".bpythonrc",
		}},
		{"a package manager or build tool runs what it names, whatever is asked of it", []string{
			".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn/**", ".pnpmfile.cjs", ".pnpmfile.mjs", "pnpmfile.js", ".pnp.cjs", ".pnp.loader.mjs", "bunfig.toml", ".bunfig.toml",
			".cargo/**", "rust-toolchain", "rust-toolchain.toml", ".mvn/**", "gradle/wrapper/**", ".gradle/**",
			".bazelrc", ".bazeliskrc", ".bazelversion", "tools/bazel", "tools/bazel.*", ".buckconfig", ".buckconfig.local", ".buckconfig.d/**",
			".bundle/config", ".swiftpm/**", ".direnv/**",
		}},
		{"an interpreter or tool runs it in the place of the source that was reviewed", []string{
			"__pycache__/**", "*.pyc", "*.pyo", ".terraform/**", ".tox/**", ".nox/**", ".eggs/**",
		}},
		{"a desktop runs it when the folder is shown", []string{
			"autorun.inf", "desktop.ini", ".directory", "*.desktop", "*.lnk", "*.scf", "*.url", "*.library-ms", "*.searchConnector-ms", "*.webloc",
		}},
	}
}

// autoRunRule is autoRun, compiled for folded paths.
type autoRunRule struct {
	reason string
	globs  []gitpath.Glob
}

// compiledAutoRuns is the list, compiled when it is first needed.
var compiledAutoRuns = sync.OnceValue(compileAutoRuns)

// compileAutoRuns folds and anchors the list.
func compileAutoRuns() []autoRunRule {
	var rules []autoRunRule
	for _, kind := range autoRuns() {
		rule := autoRunRule{reason: kind.reason}
		for _, pattern := range kind.patterns {
			compiled, err := gitpath.CompileGlob("**/" + gitpath.FoldPath(pattern))
			if err != nil {
				panic("workspace: pattern " + pattern + " of the auto-run list: " + err.Error())
			}
			rule.globs = append(rule.globs, compiled)
		}
		rules = append(rules, rule)
	}
	return rules
}
