package guides

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestScaffoldIsClean runs the formatters, linters and type checkers that an author may use on plugins as they are made, with their defaults where
// they have any.
func TestScaffoldIsClean(t *testing.T) {
	t.Parallel()
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	venv, node := repo+"/.venv/bin/", repo+"/sdk-js/node_modules/.bin/"
	for lang, checks := range map[string][]string{
		"go": {`test -z "$(gofmt -l *.go)"`, "go vet ./..."},
		"python": {
			venv + "ruff check --isolated --no-cache --select E,F,W,I,UP,B,RUF --target-version py311 .", venv + "ruff format --isolated --no-cache --check --diff .",
			venv + "pyright --pythonpath " + venv + "python",
		},
		"js": {
			node + "biome check --error-on-warnings plugin.js plugin.test.js package.json",
			node + "tsc --noEmit --allowJs --checkJs --strict --target es2022 --module nodenext --skipLibCheck --types node --typeRoots " + repo + "/sdk-js/node_modules/@types plugin.js plugin.test.js",
		},
		"ts": {node + "biome check --error-on-warnings src package.json tsconfig.json", node + "tsc --noEmit --typeRoots " + repo + "/sdk-js/node_modules/@types"},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			dir := temporary(t)
			run := func(command string) {
				t.Helper()
				cmd := exec.Command("bash", "-c", command)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", command, err, out)
				}
			}
			run(program + "/outrigger plugin new greeter --dir . --lang " + lang)
			if lang == "js" || lang == "ts" { // in place of npm install, which the guides go through
				if err := os.Mkdir(filepath.Join(dir, "node_modules"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(repo+"/sdk-js", filepath.Join(dir, "node_modules/outrigger-pdk")); err != nil {
					t.Fatal(err)
				}
				// Blanks instead of tabs are all that differs from biome's defaults.
				if err := os.WriteFile(filepath.Join(dir, "biome.json"), []byte(`{"formatter": {"indentStyle": "space"}}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if t.Failed() {
				return
			}
			for _, check := range checks {
				if tool, _, _ := strings.Cut(check, " "); strings.HasPrefix(tool, repo) {
					if _, err := os.Stat(tool); err != nil {
						t.Fatalf("%v: run make python js", err)
					}
				}
				run(check)
			}
		})
	}
}
