package examples

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// bodySize of the large bodies, and the most memory that the gateway may use for them.
const (
	bodySize  = 256 << 20
	memoryKiB = 200 << 10
)

// random is a body of pseudo-random bytes; the same seed gives the same bytes.
func random(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

// digest reads to the end.
func digest(t testing.TB, r io.Reader) (sum string, size int64) {
	t.Helper()
	h := sha256.New()
	size, err := io.Copy(h, r)
	if err != nil {
		t.Errorf("after %d bytes: %v", size, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size
}

// Bodies of 256 MiB go both ways through the gateway, and through the body filters of three languages, without being held in memory.
func TestLargeBodies(t *testing.T) {
	sent, _ := digest(t, random(1, bodySize))
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/up"):
			sum, size := digest(t, r.Body)
			fmt.Fprintf(w, "%s %d %d", sum, size, r.ContentLength)
		case strings.HasSuffix(r.URL.Path, "/known"):
			w.Header().Set("Content-Length", fmt.Sprint(int64(bodySize)))
			fallthrough
		default:
			_, _ = io.Copy(w, random(1, bodySize)) // the client sees when it fails
		}
	})
	var hellos []string
	for _, l := range languages {
		hellos = append(hellos, "{name: hello-"+l.name+"}")
	}
	// Filters that pass everything but the end.
	g := launch{
		binary: built.plain, settings: settings{"plugin_servers": exampleServers("msgpack")},
		entities: routes(up.URL, route("/plain"), route("/hello", hellos...),
			route("/stamp", "{name: stamp-go, config: {trailer: ''}}", "{name: stamp-python, config: {trailer: ''}}", "{name: stamp-js, config: {trailer: ''}}")),
	}.start(t)

	upload := func(path string, length int64) {
		t.Helper()
		r, err := http.NewRequestWithContext(context.Background(), "POST", g.url(path), random(1, bodySize))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		resp, err := g.client.Do(r)
		if err != nil {
			t.Fatalf("POST %s: %v", path, err)
		}
		defer resp.Body.Close()
		found, err := io.ReadAll(resp.Body)
		if want := fmt.Sprintf("%s %d %d", sent, int64(bodySize), length); err != nil || string(found) != want {
			t.Errorf("POST %s: the upstream got %q, expected %q; %v", path, found, want, err)
		}
	}
	download := func(path string) {
		t.Helper()
		resp, err := g.client.Get(g.url(path))
		if err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
		defer resp.Body.Close()
		if sum, size := digest(t, resp.Body); sum != sent || size != bodySize {
			t.Errorf("GET %s: %d bytes came with the hash %s, expected %d with %s", path, size, sum, int64(bodySize), sent)
		}
	}
	upload("/plain/up", bodySize)
	upload("/hello/up", -1)
	download("/plain/known")
	download("/hello/chunked")
	download("/stamp/known")
	if peak := status(t, g.pid, "VmHWM"); peak > memoryKiB {
		t.Errorf("the gateway used up to %d KiB of memory, expected at most %d", peak, memoryKiB)
	} else {
		t.Logf("the gateway used up to %d KiB of memory", peak)
	}
}

// A client that goes away while a body streams through the filters costs nothing: the gateway serves the next one.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			fmt.Fprint(w, "small")
			return
		}
		_, err := io.Copy(w, random(1, 1<<40))
		gone <- err
	})
	g := launch{
		settings: settings{"plugin_servers": exampleServers("msgpack")},
		entities: routes(up.URL, route("/", "{name: stamp-go}", "{name: stamp-python}", "{name: stamp-js}")),
	}.start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", g.url("/endless"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	if err := <-gone; err == nil {
		t.Error("the upstream has sent an endless body")
	}
	a := g.get(t, "/small").want(t, 200)
	if want := "small\n-- stamped by python\n\n-- stamped by js\n\n-- stamped by go\n"; string(a.body) != want {
		t.Errorf("found %q, expected %q", a.body, want)
	}
}
