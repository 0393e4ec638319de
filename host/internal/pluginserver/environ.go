package pluginserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// The magic cookie and what else docs/wire.md section 9 puts into the environment.
const (
	cookieKey   = "OUTRIGGER_PLUGIN"
	cookieValue = "82f1b1a5c0d94e1f"

	runDirKey   = "OUTRIGGER_RUN_DIR"
	lifelineKey = "OUTRIGGER_LIFELINE_FD"
	serverKey   = "OUTRIGGER_SERVER"
)

// passedOn are the variables of the host that a managed server sees. Everything else, secrets above all, stays here.
var passedOn = []string{"PATH", "HOME", "LANG", "TZ"}

// environment builds what a managed process sees: a few variables of the host, then the account's, then the configured ones, then
// ours, then go-plugin's. The last of a name wins.
func environment(cfg *Config, a *account, runDir string, goPlugin []string) []string {
	var env []string
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if a != nil {
		env = append(env, "HOME="+a.home, "USER="+a.name)
	}
	for name, v := range cfg.Env {
		env = append(env, name+"="+v)
	}
	env = append(env, serverKey+"="+cfg.Name, runDirKey+"="+runDir, fmt.Sprintf("%s=%d", lifelineKey, lifelineFD))
	return append(env, goPlugin...)
}

// account is another user that a server runs as.
type account struct {
	name, home string
	uid, gid   int
	groups     []int
}

// lookupAccount finds a user by name or number with all its groups. It is nil when that is who we are already.
func lookupAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user: there is no user %q", name)
		}
	}
	a := &account{name: u.Username, home: u.HomeDir}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("user %q: id %q is not a number", name, u.Uid)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("user %q: group id %q is not a number", name, u.Gid)
	}
	if a.uid == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("user: found %q, but this process runs as uid %d: only root can start a server as another user", name, os.Geteuid())
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user %q: list its groups: %w", name, err)
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			a.groups = append(a.groups, gid)
		}
	}
	return a, nil
}

// checkEnv refuses names that the system cannot hold.
func checkEnv(env map[string]string) error {
	for name, v := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: found the name %q, expected one without \"=\"", name)
		}
		if strings.Contains(v, "\x00") {
			return fmt.Errorf("env: the value of %s holds a zero byte", name)
		}
	}
	return nil
}
