package authoring

import (
	"context"
	"fmt"
	"os/exec"
)

// goTools prepare a Go plugin: a main package in the directory, with the SDK as a replaced module.
type goTools struct{ *project }

func (p goTools) install(context.Context) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("preparing the plugin in %s: the program go is not in PATH; install the Go toolchain, 1.26 or newer", p.dir)
	}
	if wanted, err := p.refersToKit("go.mod"); !wanted || err != nil {
		return err
	}
	return p.place()
}

func (p goTools) build(ctx context.Context) error {
	return p.run(ctx, "building the plugin", "go", "build", "-o", p.binary(), ".")
}

func (p goTools) binary() string { return p.path(hidden, "bin", "plugin") }

func (p goTools) command() []string { return []string{p.binary()} }

func (p goTools) watch() []string { return []string{p.dir} }

func (p goTools) testCommand() []string { return []string{"go", "test", "./..."} }
