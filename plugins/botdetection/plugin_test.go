package botdetection

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/pdk/pdktest"
)

const (
	chrome  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
	firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"
	google  = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

func run(t *testing.T, config string, header http.Header) pdktest.Result {
	t.Helper()
	x := pdktest.New(pdktest.Request{Header: header})
	if err := x.Use(Plugin, config); err != nil {
		t.Fatal(err)
	}
	res := x.Run()
	for _, f := range res.Failures {
		t.Errorf("%s failed in %s: %+v", f.Plugin, f.Phase, f.Err)
	}
	return res
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name, config, agent string
		status              int
	}{
		{"a browser", ``, chrome, 200},
		{"a bot", ``, google, 403},
		{"a denied browser", `{"deny": ["Firefox/1[0-9]+"]}`, firefox, 403},
		{"another browser", `{"deny": ["Firefox/1[0-9]+"]}`, chrome, 200},
		{"an allowed bot", `{"allow": ["Googlebot"]}`, google, 200},
		{"another bot", `{"allow": ["Googlebot"]}`, "bingbot/2.0", 403},
		{"allow is before deny", `{"allow": ["^Mozilla"], "deny": ["Chrome"]}`, chrome, 200},
		{"the second of a list", `{"allow": ["nothing", "Googlebot"]}`, google, 200},
		{"searched anywhere", `{"deny": ["Gecko\\) Chrome"]}`, chrome, 403},
		{"anchored", `{"deny": ["^Chrome"]}`, chrome, 200},
		{"case matters", `{"deny": ["chrome"]}`, chrome, 200},
		{"unless it does not", `{"deny": ["(?i)chrome"]}`, chrome, 403},
		{"an empty header", ``, "", 200},
		{"an empty header, denied", `{"deny": ["^$"]}`, "", 403},
		{"nulls", `{"allow": null, "deny": null}`, google, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := run(t, c.config, http.Header{"User-Agent": {c.agent}})
			if res.Response.Status != c.status {
				t.Fatalf("answer %d, want %d", res.Response.Status, c.status)
			}
			if c.status == 403 && (!strings.Contains(string(res.Response.Body), `"Forbidden"`) || res.Source != "error") {
				t.Errorf("answer %s from %s", res.Response.Body, res.Source)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string
		header http.Header
		status int
		text   string
	}{
		{"no User-Agent", `{"deny": [".*"]}`, nil, 200, ""},
		{"two", `{"allow": [".*"]}`, http.Header{"User-Agent": {chrome, chrome}}, 400, "Only one User-Agent header allowed"},
		{"two in different spellings", ``, http.Header{"User-Agent": {chrome}, "USER_AGENT": {chrome}}, 400, "Only one User-Agent header allowed"},
	} {
		res := run(t, c.config, c.header)
		if res.Response.Status != c.status || !strings.Contains(string(res.Response.Body), c.text) || c.status != 200 && res.Source != "error" {
			t.Errorf("%s: answer %d %s from %s", c.name, res.Response.Status, res.Response.Body, res.Source)
		}
	}
}

func TestKnownBots(t *testing.T) {
	bots := knownBots()
	for _, agent := range []string{
		google,
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
		"Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
		"Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
		"Twitterbot/1.0", "AdsBot-Google (+http://www.google.com/adsbot.html)", "Mediapartners-Google",
		"Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
		"Mozilla/5.0 (Windows NT 6.1) (KHTML, like Gecko) Chrome/27 Safari/537.36 Google (+https://developers.google.com/+/web/snippet/)",
		"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0; en) MSIECrawler",
		"Mozilla/5.0 (compatible; Yeti/1.0; NHN Corp.)", "ia_archiver (+http://www.alexa.com)", "archive.org_bot", "Scrapy/1.0",
		"Apache-HttpClient/4.5 (Java/1.8)", "Go-http-client/1.1", "Python-urllib/3.11", "okhttp/4.9.0", "axios/1.6.0", "reqwest/0.11", "aws-sdk-go/1.44", "Boto3/1.26 Python/3.10", "aws-cli/2.9",
		"SPIDER", "MyCrawler", "Bot/1", "bot 2", "acme indexer/3", "MyArchiver 1.0", "Argus/1.1", "x/fetchurl 2", "WordPress/6.0", "NING/1.0", "Zao-Crawler",
	} {
		if !bots.in(agent) {
			t.Errorf("%q is not known as a bot", agent)
		}
	}
	for _, agent := range []string{
		chrome, iphone, firefox, "", "curl/8.5.0", "Wget/1.21", "Mozilla/5.0 (Linux; Android 10; CUBOT X30) Chrome/120.0", "Mozilla/5.0 (Linux; Android 9; Cubot P40) Chrome/120.0",
		"Argus", "Argus 1", "x vortex", "WINING", "abot", "bot", "yahooseeker", "fetchurl 2", "Yandex", "xYeti", "indexer", "Argus/", "okHttp/4",
	} {
		if bots.in(agent) {
			t.Errorf("%q is taken for a bot", agent)
		}
	}
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{"allow": ["a", "(b"]}`:        "allow.1: found",
		`{"deny": ["(?<=a)b"]}`:         "deny.0: found", // PCRE only
		`{"deny": [""]}`:                "deny.0: found",
		`{"blacklist": ["a"]}`:          "blacklist: is unknown",
		`{"deny": "a"}`:                 "deny: found",
		`{"deny": ["(a{1000}){1000}"]}`: "deny.0: found", // would be too large
	} {
		err := pdktest.New(pdktest.Request{}).Use(Plugin, config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", config, err, want)
		}
	}
}

// reference is the search as one regular expression.
func reference() *regexp.Regexp {
	var all []string
	for _, l := range botLists() {
		for text := range strings.SplitSeq(strings.TrimSpace(l.texts), "\n") {
			q := regexp.QuoteMeta(strings.TrimSpace(text))
			all = append(all, map[place]string{
				anywhere: q, anyCase: `(?i:` + q + `)`, atStart: `\A` + q, atWord: `\b` + q, inWord: q + `\w`,
				beforeVersion: q + `/\d`, beforeNumber: q + `[/ ]\d`, inComment: `/` + q + `[ -]\d`,
			}[l.place])
		}
	}
	return regexp.MustCompile(strings.Join(append(all, `(?s:[^C][^Uu])[Bb]ot`), "|"))
}

func FuzzMarks(f *testing.F) {
	for _, s := range []string{chrome, google, "CUbot", "Argus/1", "/Isara-1", "x Yeti", "NING", "sPider", "crawL", "bot 1", "Yandex_"} {
		f.Add(s)
	}
	bots, re := knownBots(), reference()
	f.Fuzz(func(t *testing.T, agent string) {
		for _, c := range []byte(agent) {
			if c >= 0x80 {
				return // regular expressions count characters, marks count bytes
			}
		}
		if got, want := bots.in(agent), re.MatchString(agent); got != want {
			t.Errorf("%q: %v, want %v", agent, got, want)
		}
	})
}

func BenchmarkKnownBots(b *testing.B) {
	bots, re := knownBots(), reference()
	for name, in := range map[string]func(string) bool{"marks": bots.in, "regexp": re.MatchString} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if in(chrome) {
					b.Fatal("a browser is taken for a bot")
				}
			}
		})
	}
}
