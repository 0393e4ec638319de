package examples

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// randomBytes are pseudo-random.
func randomBytes(seed byte, size int64) []byte {
	b, err := io.ReadAll(random(seed, size))
	if err != nil {
		panic(err) // it reads memory
	}
	return b
}

// Request bodies reach handlers and the upstream byte by byte, whatever their size, announced or not; handlers may replace them.
func TestLesson16RequestBodiesByteForByte(t *testing.T) {
	t.Parallel()
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sum, size := digest(t, r.Body)
		fmt.Fprintf(w, "%s|%s %d", r.Header.Get("X-Body"), sum, size)
	})
	const chunk, limit = 32 << 10, 8 << 20 // of the wire; max_body
	var list []string
	for _, l := range languages {
		for _, kind := range []string{"body", "need"} {
			list = append(list, route("/"+kind+"/"+l.name, "{name: "+kind+"-"+l.name+"}"), route("/open/"+kind+"/"+l.name, "{name: "+kind+"-"+l.name+", fail_mode: open}"))
		}
	}
	describe := func(b []byte) string { return fmt.Sprintf("%x %d", sha256.Sum256(b), len(b)) }
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			g := launch{settings: settings{"plugin_servers": testServers(carrier)}, entities: routes(up.URL, list...)}.start(t)
			post := func(path string, body []byte, chunked bool, headers ...string) (int, string) {
				t.Helper()
				r, err := http.NewRequest("POST", g.url(path), bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if chunked {
					r.ContentLength, r.Body = -1, io.NopCloser(bytes.NewReader(body))
				}
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				resp, err := g.client.Do(r)
				if err != nil {
					t.Fatalf("POST %s with %d bytes: %v", path, len(body), err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatalf("POST %s with %d bytes: %v", path, len(body), err)
				}
				return resp.StatusCode, string(text)
			}
			for _, l := range languages {
				for _, kind := range []string{"body", "need"} {
					path := "/" + kind + "/" + l.name
					for _, size := range []int64{0, 1, chunk, chunk + 1, 3*chunk + 7, 1 << 20, limit} {
						for _, chunked := range []bool{false, true} {
							if chunked && size == limit {
								continue // it takes its time
							}
							body := randomBytes(byte(size), size)
							want := describe(body) + "|" + describe(body)
							if status, found := post(path, body, chunked); status != 200 || found != want {
								t.Errorf("%s with %d bytes, chunked %t: found %d %q, expected %q", path, size, chunked, status, found, want)
							}
						}
					}
					body := randomBytes(3, 100)
					for _, size := range []int{0, 1, 200, chunk + 1, 1 << 20} {
						want := describe(body) + "|" + describe(bytes.Repeat([]byte("r"), size))
						if status, found := post(path, body, false, "X-Replace", fmt.Sprint(size)); status != 200 || found != want {
							t.Errorf("%s replaced by %d bytes: found %d %q, expected %q", path, size, status, found, want)
						}
					}
					// A handler that has read and replaced the body, and then fails open, has not touched it.
					for _, size := range []int64{10, 3 * chunk} {
						body := randomBytes(5, size)
						if status, found := post("/open"+path, body, true, "X-Replace", "5", "X-Raise", "1"); status != 200 || found != "|"+describe(body) {
							t.Errorf("/open%s failing with %d bytes: found %d %q, expected the body as it was", path, size, status, found)
						}
					}
					over := randomBytes(4, limit+1)
					// The handler that asks is told by a code, and the body is whole for the upstream when it goes on.
					if status, found := post(path, over, false, "X-Catch", "1"); kind == "body" && (status != 200 || found != "bad_data|"+describe(over)) {
						t.Errorf("%s with %d bytes: found %d %q, expected the code of the error and the whole body", path, len(over), status, found)
					}
					for _, chunked := range []bool{false, true} {
						if status, found := post(path, over, chunked); status != 500 {
							t.Errorf("%s with %d bytes: found %d %q, expected 500", path, len(over), status, found)
						}
						if status, found := post("/open"+path, over, chunked); status != 200 || found != "|"+describe(over) {
							t.Errorf("/open%s with %d bytes: found %d %q, expected the whole body at the upstream", path, len(over), status, found)
						}
					}
				}
			}
		})
	}
}

// Digests of bodies that are empty, larger than a chunk, and announced or not; and the rewrite phase of a plugin that is configured globally.
func TestLesson16ResponseBodiesByteForByte(t *testing.T) {
	t.Parallel()
	big, over := randomBytes(1, 3<<20), randomBytes(2, 9<<20) // max_body is 8 MiB
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusOK)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/over", "/open":
			_, _ = w.Write(over)
		case "/big":
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			_, _ = w.Write(big)
		case "/chunked":
			for rest := big; len(rest) > 0; {
				n := min(len(rest), 100_000)
				_, _ = w.Write(rest[:n])
				rest = rest[n:]
				w.(http.Flusher).Flush()
			}
		default:
			echoHandler(w, r)
		}
	})
	entities := "plugins:\n"
	var open []string
	for _, l := range languages {
		entities += "- name: digest-" + l.name + "\n"
		open = append(open, "{name: digest-"+l.name+", fail_mode: open}")
	}
	entities = routes(up.URL, route("/"), route("/open", open...)) + entities
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) {
			t.Parallel()
			g := launch{settings: settings{"plugin_servers": exampleServers(carrier)}, entities: entities}.start(t)
			for path, body := range map[string][]byte{"/empty": nil, "/big": big, "/chunked": big} {
				a := g.get(t, path).want(t, 200)
				if !bytes.Equal(a.body, body) {
					t.Errorf("%s: %d bytes came, expected the %d of the upstream", path, len(a.body), len(body))
				}
				for _, l := range languages {
					a.wantHeader(t, "X-Digest-"+l.suffix, fmt.Sprintf("sha256=%x", sha256.Sum256(body)))
				}
			}
			// A body that is over the limit cannot be had; what was read of it is not lost.
			g.get(t, "/over").want(t, 500).wantHeader(t, "X-Digest-Go")
			if a := g.get(t, "/open").want(t, 200); !bytes.Equal(a.body, over) {
				t.Errorf("/open: %d bytes came, expected the %d of the upstream", len(a.body), len(over))
			}
			a := g.get(t, "/none").want(t, 204)
			e := g.get(t, "/echo").want(t, 200).echo(t)
			for _, l := range languages {
				a.wantHeader(t, "X-Digest-"+l.suffix, fmt.Sprintf("sha256=%x", sha256.Sum256(nil)))
				e.wantUpstream(t, "X-Rewritten-"+l.suffix, "1")
			}
		})
	}
}
