package pluginserver

import (
	"errors"
	"testing"
)

// An instance that is configured later is asked for without anybody waiting, and keeps a build on trial from being promoted until then.
func TestConfigureLater(t *testing.T) {
	w := newWorld(t)
	w.mustStart(fakeServer("s"))
	silent := errors.New("it was silent")
	w.Server("s").ConfigureLater(Instance{ID: 1, Plugin: "echo", Config: []byte(`{}`)}, silent)
	eventually(t, "the instance", func() bool {
		_, _, err := w.call("s", 1, "/")
		return err == nil
	})
	next, err := w.Begin(t.Context(), fakeServer("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Abandon()
	next.ConfigureLater(Instance{ID: 2, Plugin: "echo", Config: []byte(`"bad"`)}, silent)
	if err := next.Complete(); err == nil {
		t.Error("a build without its instance is complete")
	}
}
