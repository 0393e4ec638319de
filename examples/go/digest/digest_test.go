package digest_test

import (
	"testing"

	"github.com/outrigger-gateway/outrigger/examples/go/digest"
	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

func TestDigest(t *testing.T) {
	for body, want := range map[string]string{
		"":    "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // FIPS 180-2, appendix B.1
	} {
		x := pdktest.New(pdktest.Request{})
		x.Answer = func(pdktest.Upstream) pdktest.Response { return pdktest.Response{Body: []byte(body)} }
		if err := x.Use(digest.Plugin, ""); err != nil {
			t.Fatal(err)
		}
		res := x.Run()
		if got := res.Response.Header.Get("X-Digest-Go"); got != want {
			t.Errorf("X-Digest-Go of %q is %q, expected %q", body, got, want)
		}
		if string(res.Response.Body) != body || res.Upstream.Header.Get("X-Rewritten-Go") != "1" {
			t.Errorf("body %q, upstream %v", res.Response.Body, res.Upstream.Header)
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	x := pdktest.New(pdktest.Request{})
	x.MaxBody = 2
	x.Answer = func(pdktest.Upstream) pdktest.Response { return pdktest.Response{Body: []byte("abc")} }
	if err := x.Use(digest.Plugin, ""); err != nil {
		t.Fatal(err)
	}
	if res := x.Run(); len(res.Failures) != 1 || res.Failures[0].Err.Code != "bad_data" || res.Response.Status != 500 {
		t.Errorf("failures %+v", res.Failures)
	}
}
