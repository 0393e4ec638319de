package cpuprofile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestProfileBetweenTwoSignals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.pprof")
	t.Setenv(Env, path)
	OnSignal()
	signalSelf(t)
	await(t, path+".part")
	signalSelf(t)
	await(t, path)
	if _, err := os.Stat(path + ".part"); err == nil {
		t.Fatal("the partial file is still there")
	}
}

func signalSelf(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// await waits until a file is there.
func await(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s did not appear", path)
}
