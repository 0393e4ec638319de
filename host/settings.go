package host

import (
	"os"

	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
)

// Setting documents one setting.
type Setting = config.Setting

// Settings lists every setting with its flag, variable, type, default and meaning.
func Settings() []Setting { return config.SettingDocs() }

// RunReaper runs the reaper, a small process that cleans up when the host is killed, if this process was started as it. A program that
// embeds a host calls it first in main and ends when it returns true.
func RunReaper() bool {
	if len(os.Args) > 1 && os.Args[1] == reaper.Arg {
		reaper.Main()
		return true
	}
	return false
}
