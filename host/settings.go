package host

import (
	"os"
	"runtime/debug"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/launcher"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
)

// Setting documents one setting.
type Setting = config.Setting

// Settings lists every setting with its flag, variable, type, default and meaning.
func Settings() []Setting { return config.SettingDocs() }

// AdminSetting is where the settings say that the Admin listener is: host:port or unix:///path; empty for none.
func (h *Host) AdminSetting() string { return h.settings.AdminListen }

// PaceCollector collects garbage less often than Go does by default, unless GOGC says otherwise: the live heap of a gateway is small, and
// some megabytes more are worth the processor time. For the main function of a program that is a gateway.
func PaceCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// RunReaper does the work of the small processes that a host starts from its own binary, if this process is one of them: the reaper,
// which cleans up when the host is killed, and the launcher, which becomes a plugin server. A program that embeds a host calls it first
// in main and ends when it returns true.
func RunReaper() bool {
	if len(os.Args) < 2 {
		return false
	}
	switch os.Args[1] {
	case reaper.Arg:
		reaper.Main()
	case launcher.Arg:
		launcher.Main()
	default:
		return false
	}
	return true
}
