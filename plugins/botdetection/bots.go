package botdetection

// botList is texts, one a line, that count in one place.
type botList struct {
	place place
	texts string
}

// botLists are the marks of known bots. Names with bot, crawl, spider or scrape in them need no line of their own. Case matters, except for the first
// list. The choice follows what the ua-parser project (uap-core) counts as bots.
func botLists() []botList {
	return []botList{
		{anyCase, `
			crawl
			spider
		`},
		{anywhere, `
			Scrape
			scrape
			archiver
			favicon
		`},
		{beforeNumber, `
			Archiver
			Bot
			Indexer
			bot
			indexer
		`},
		{anywhere, generalClients},
		{anywhere, searchEngines},
		{anywhere, fetchers},
		{anywhere, monitors},
		{atWord, `
			Yeti
		`},
		{inWord, `
			Yandex
		`},
		{atStart, `
			NING
			Zao
			vortex
			voyager
		`},
		{beforeVersion, `
			008
			Altresium
			Argus
			BaiduMobaider
			BoardReader
			DNSGroup
			DataparkSearch
			EDI
			Goodzer
			Grub
			INGRID
			Infohelfer
			LOOQ
			PathDefender
			Peew
			PostPost
			Steeler
			VSE
			WebCrunch
			WebZIP
			envolk
			facebookexternalhit
			sproose
			wminer
		`},
		{inComment, `
			Axtaris
			Isara
			ShopSalad
			Tailsweep
			fetchurl
		`},
	}
}

// generalClients are libraries that programs call with, bots or not.
const generalClients = `
	Apache-HttpClient
	Boto/
	Boto3/
	Go-http-client
	Google-HTTP-Java-Client
	JNLP
	JetS3t/
	Python-urllib
	TLSProber
	WinHTTP
	aihttp
	aws-cli/
	aws-sdk-
	axios
	http%20client
	okhttp
	reqwest
	scalaj-http
	unirest-java
	unirest-net
	unirest-nodejs
	unirest-php
	unirest-python
	unirest-ruby
`

const searchEngines = `
	Accoona-
	AppEngine-Google
	Ask Jeeves
	Daumoa
	Flamingo_SearchEngine
	Google SketchUp
	HiddenMarket
	HooWWWer
	Icarus6j
	IlTrovatore
	InternetArchive
	Mediapartners-Google
	Nutch
	ObjectsSearch
	Orbiter
	Pompos
	RedCarpet
	Slurp
	Vagabondo
	YahooSeeker
	Yowedo
	ZyBorg
	altavista
	boitho.com-dc
	findlinks
	gonzo1
	grub-client
	heritrix
	holmes
	htdig
	ia_archiver
	ichiro
	larbin
	lycos
	mogimogi
	mozDex
	scooter
	searchsight
	semanticdiscovery
	www.almaden.ibm.com
	yacy
`

// fetchers load pages, feeds and previews of them.
const fetchers = `
	/+/web/snippet
	50.nu
	Aboundex
	BingPreview
	BlogBridge
	BotSeer
	Charlotte
	Genieo
	IconSurf
	InfuzApp
	Kraken
	Kurzor
	LEIA
	LinkAider
	Llaut
	Netvibes
	NewsGator
	Nymesis
	PagePeeker
	PagesInventory
	PaxleFramework
	Read%20Later
	Reaper
	Retreiver
	Riddler
	Rival IQ
	SEOstats
	Scrapy
	Scrubby
	SimplePie
	SimpleRSS
	Simpy
	SiteCon
	Squrl Java
	ThumbShots
	Thumbshots.ru
	URL2PNG
	WIRE
	WeSEE:
	Web-sniffer
	WebThumb
	WhatWeb
	WordPress
	Wotbox
	ZooShot
	charlotte
	clumboot
	netresearch
	snappy
`

// monitors test whether and how pages are served.
const monitors = `
	Checklinks
	GomezAgent
	HttpMonitor
	Link Sleuth
	YottaaMonitor
`
