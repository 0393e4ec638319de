package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/entity"
	"github.com/outrigger-gateway/outrigger/host/internal/watch"
)

// mostFiles of one plugin server are looked at when it may have changed.
const mostFiles = 10_000

// filesOf are the files and directories whose content makes another program of a managed server: its watch list; else the executable, and what the
// words of the command name.
func filesOf(c *config.PluginServer, command []string) []string {
	if len(c.Watch) > 0 {
		return c.Watch
	}
	var files []string
	for i, word := range command {
		path := word
		switch {
		case i == 0 && !strings.Contains(word, "/"):
			if found, err := exec.LookPath(word); err == nil {
				files = append(files, found)
			}
			continue
		case !filepath.IsAbs(word):
			path = filepath.Join(c.WorkingDir, word)
		}
		stat, err := os.Stat(path)
		if i == 0 || err == nil && (stat.Mode().IsRegular() || stat.IsDir() && !parents(word)) {
			files = append(files, path)
		}
	}
	return files
}

// parents says whether a word names only where something else is: the working directory or one above it, which hold more than a program.
func parents(word string) bool {
	clean := filepath.Clean(word)
	return clean == "." || clean == "/" || strings.HasSuffix(clean, "..")
}

// digest of the program of a server; "" when it cannot be found out, which is logged: then only its settings say that it changed.
func (h *Host) digest(c *config.PluginServer, command []string) string {
	d, err := watch.Digest(filesOf(c, command), mostFiles)
	if err != nil {
		h.logger.Warn("changes of the program of the plugin server are not noticed; say in watch what it is made of", "server", c.Name, "error", err.Error())
		return ""
	}
	return d
}

// sameServer says whether two entries of plugin_servers give the same processes and the same answers. What only says when and how to replace a
// build makes no other one.
func sameServer(a, b config.PluginServer) bool {
	for _, c := range []*config.PluginServer{&a, &b} {
		c.Pos, c.Build, c.Watch, c.Canary = entity.Pos{}, nil, nil, nil
	}
	return reflect.DeepEqual(a, b)
}
