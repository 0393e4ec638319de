package authoring

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// pythonTools prepare a Python plugin: plugin.py, or modules in the directory, with a venv.
type pythonTools struct{ *project }

func (p pythonTools) python() string { return p.path(".venv", "bin", "python") }

// install makes the venv from requirements.txt. Without that file a venv of the author's own is taken as it is, and a new one gets the SDK
// and pytest.
func (p pythonTools) install(ctx context.Context) error {
	own := p.exists("requirements.txt")
	made := p.exists(".venv", "bin", "python")
	if !own && made && !p.exists(hidden, "kit") {
		return nil
	}
	wanted, err := p.refersToKit("requirements.txt")
	if err != nil {
		return err
	}
	if wanted || !own {
		if err := p.place(); err != nil {
			return err
		}
	}
	return p.once([]string{"requirements.txt"}, made, func() error {
		if !made {
			if err := p.makeVenv(ctx); err != nil {
				return err
			}
		}
		p.say("installing the SDK and what requirements.txt names into .venv")
		arguments := []string{"-r", "requirements.txt"}
		if !own {
			arguments = []string{"-r", hidden + "/requirements.txt", "pytest"}
		}
		if err := p.pip(ctx, arguments...); err != nil || !made || own && !wanted {
			return err
		}
		// The environment may have the SDK of another program: pip keeps a package whose version is the same.
		return p.pip(ctx, "--force-reinstall", "--no-deps", "-r", hidden+"/requirements.txt")
	})
}

func (p pythonTools) makeVenv(ctx context.Context) error {
	python, err := p.interpreter(ctx)
	if err != nil {
		return err
	}
	p.say("making a Python environment in .venv, once")
	return p.run(ctx, "making a Python environment", python, "-m", "venv", "--clear", ".venv")
}

// interpreter finds a Python that the SDK runs on.
func (p pythonTools) interpreter(ctx context.Context) (string, error) {
	var found []string
	for _, name := range []string{"python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		cmd := p.cmd(ctx, []string{path, "-c", "import sys; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))"})
		out, err := cmd.Output()
		if err == nil {
			return path, nil
		}
		found = append(found, strings.TrimSpace(name+" "+strings.TrimSpace(string(out))))
	}
	if len(found) == 0 {
		found = []string{"none"}
	}
	return "", fmt.Errorf("preparing the plugin in %s: looking for Python 3.11 or newer in PATH: found %s", p.dir, strings.Join(found, ", "))
}

func (p pythonTools) pip(ctx context.Context, arguments ...string) error {
	command := append([]string{p.python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, arguments...)
	return p.run(ctx, "installing Python packages", command...)
}

func (p pythonTools) build(context.Context) error { return nil }

func (p pythonTools) command() []string {
	served := p.dir
	if p.exists("plugin.py") {
		served = p.path("plugin.py")
	}
	return []string{p.python(), "-m", "outrigger", "serve", served}
}

func (p pythonTools) watch() []string { return []string{p.dir} }

func (p pythonTools) testCommand() []string { return []string{p.python(), "-m", "pytest"} }
