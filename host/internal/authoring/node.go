package authoring

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// nodeTools prepare a plugin in JavaScript or TypeScript: what "main" of package.json names, with dependencies in node_modules.
type nodeTools struct{ *project }

// oldestNode is the oldest major version of Node.js that the SDK runs on.
const oldestNode = 20

func (p nodeTools) install(ctx context.Context) error {
	wanted, err := p.refersToKit("package.json")
	if err != nil {
		return err
	}
	if wanted {
		if err := p.place(); err != nil {
			return err
		}
	}
	return p.once([]string{"package.json", "package-lock.json"}, p.exists("node_modules"), func() error {
		if err := p.checkNode(ctx); err != nil {
			return err
		}
		p.say("installing the SDK and what package.json names into node_modules")
		command := []string{"npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"}
		if wanted {
			// Named again, so that a lock file with the SDK of another program is brought up to date.
			command = append(command, "./"+hidden+"/outrigger-pdk.tgz")
		}
		return p.runTo(ctx, nil, "installing npm packages", command...) // what went wrong is on standard error
	})
}

func (p nodeTools) checkNode(ctx context.Context) error {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("preparing the plugin in %s: the program %s is not in PATH; install Node.js, %d or newer", p.dir, name, oldestNode)
		}
	}
	version, err := p.cmd(ctx, []string{"node", "--version"}).Output() // such as v20.11.1
	if err != nil {
		return fmt.Errorf("preparing the plugin in %s: node --version: %w", p.dir, err)
	}
	text := strings.TrimSpace(string(version))
	major, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return fmt.Errorf("preparing the plugin in %s: found Node.js %s, expected %d or newer", p.dir, text, oldestNode)
	}
	return nil
}

func (p nodeTools) build(ctx context.Context) error {
	if p.language == JavaScript {
		return nil
	}
	return p.run(ctx, "building the plugin", "npm", "run", "--silent", "build")
}

func (p nodeTools) command() []string {
	return []string{"node", p.path("node_modules", ".bin", "outrigger-js"), "serve", p.dir}
}

func (p nodeTools) watch() []string { return []string{p.dir} }

func (p nodeTools) testCommand() []string { return []string{"npm", "test", "--silent"} }
