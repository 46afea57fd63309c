package message

import (
	"strings"
	"testing"
)

// TestApplied: what hides one element hides nothing of another, to which it does not apply.
func TestApplied(t *testing.T) {
	for _, html := range []string{
		`<span style="transform:scale(0)">SEEN`, `<span style="height:0;overflow:hidden">SEEN`, `<b style="width:0;overflow:hidden">SEEN`, `<a href="http://a.example" style="max-height:0;overflow:hidden">SEEN`,
		`<p style="display:inline;height:0;overflow:hidden">SEEN`, `<x-a style="max-width:0;overflow:hidden">SEEN`,
		`<table><tr><td style="height:0;overflow:hidden">SEEN`, `<table style="height:0;overflow:hidden"><td>SEEN`, `<table><tr style="height:0;overflow:hidden"><td>SEEN`, `<table><th style="width:0;overflow:hidden">SEEN`,
		`<p style="text-indent:-9999px"><br>SEEN`, `<p style="clip:rect(0,0,0,0)">SEEN`, `<p style="position:relative;clip:rect(0,0,0,0)">SEEN`,
		`<p style="height:0;overflow:hidden;padding-bottom:99px">SEEN`, `<p style="height:0;overflow:hidden;min-height:9em">SEEN`, `<p style="margin-left:-500px;padding-left:500px">SEEN`,
		`<p style="position:absolute;left:-500px;padding:0 500px">SEEN`, `<p style="max-height:0;overflow:hidden;min-height:calc(9px)">SEEN`,
		`<p style="height:-1px;overflow:hidden">SEEN`, `<p style="height:1;overflow:hidden">SEEN`, `<p style="margin-left:-999">SEEN`, `<p style="position:absolute;left:-999">SEEN`, `<p style="margin-left:-999px;margin:0">SEEN`, `<p style="position:absolute;left:-999px;inset:0">SEEN`, `<p style="max-width:-1px;overflow:hidden">SEEN`, `<p style="height:0;overflow:hidden zz">SEEN`, `<p style="font:0">SEEN`, `<p style="font:bold 0px">SEEN`,
		`<p style="color:#fff;text-shadow:0 0 1px #000">SEEN`, `<p style="color:transparent;text-shadow:0 0 0 #000">SEEN`, `<p style="color:#fff;-webkit-text-stroke:1px #000">SEEN`,
		`<div style="text-shadow:0 0 1px #000"><p style="color:#fff">SEEN`, `<p style="color:#fff;box-shadow:inset 0 0 0 99px #000">SEEN`,
	} {
		if got := readHTML(html).Text; got != "SEEN" {
			t.Errorf("%s: got %q, want it shown", html, got)
		}
	}
	for _, html := range []string{
		`<p style="height:0;overflow:hidden">not`, `<p style="max-height:0;overflow:hidden;padding:0">not`, `<p style="height:0;overflow:hidden hidden;min-height:0px">not`, `<div style="width:0;overflow:hidden">not`,
		`<span style="display:block;max-height:0;overflow:hidden">not`, `<p style="transform:scale(0)">not`, `<p style="position:absolute;clip:rect(0,0,0,0)">not`, `<p style="margin-left:-500px">not`,
		`<p style="font:0/0 Arial">not`, `<p style="font:0 a">not`, `<p style="color:#fff;text-shadow:none">not`, `<p style="color:#fff;box-shadow:0 0 1px #000">not`,
		`<div style="text-shadow:0 0 1px #000"><p style="color:#fff;text-shadow:none">not`,
	} {
		if got := readHTML(html + "<div>").Text; strings.Contains(got, "not") {
			t.Errorf("%s: got %q, want it hidden", html, got)
		}
	}
	if body := ReadSurely([]Field{{"Content-Type", "text/html"}}, []byte(`<p style="text-shadow:0 0 1px #fff"><a style="color:#fff" href="http://a.example/">unsubscribe</a>`)); len(body.Links) != 0 {
		t.Errorf("white letters with a white shadow: the links %v are surely seen, want none", body.Links)
	}
}

// TestOpenValues: what hangs on a value that nobody here knows may be seen, and is not surely.
func TestOpenValues(t *testing.T) {
	for _, html := range []string{
		`<style>.x{display:none}b .x{display:var(--q,block)}</style><b><p class=x>SEEN`, `<style>.x{display:none}</style><p class=x style="display:var(--q,block)">SEEN`,
		`<style>b .x{display:none;display:var(--q,none)}</style><b><p class=x>SEEN`, `<p style="display:none;display:var(--q,block)">SEEN`,
		`<style>.x{color:#fff}</style><p class=x style="color:var(--q,#000)">SEEN`, `<p style="color:#fff;-webkit-text-fill-color:var(--q,#000)">SEEN`, `<style>.x{color:#fff}b .x{background:var(--q,#000)}</style><b><p class=x>SEEN`,
		`<style>.x{font-size:0}b .x{font-size:calc(16px + 0vw)}</style><b><p class=x>SEEN`, `<style>.x{height:0;overflow:hidden}b .x{overflow:var(--q,visible)}</style><b><p class=x>SEEN`,
		`<style>.x{visibility:hidden}b .x{visibility:var(--q,visible)}</style><b><p class=x>SEEN`,
		`<style>.x{opacity:0}b .x{opacity:calc(1)}</style><b><p class=x>SEEN`, `<style>.x{transform:scale(0)}b .x{transform:var(--q)}</style><b><p class=x>SEEN`, `<style>.x{margin-left:-999px}b .x{margin:var(--q)}</style><b><p class=x>SEEN`,
		`<style>.x{display:none}b .x{all:var(--q,revert)}</style><b><p class=x>SEEN`,
	} {
		surely := ReadSurely([]Field{{"Content-Type", "text/html"}}, []byte(html))
		if got := readHTML(html).Text; got != "SEEN" || surely.Text != "" {
			t.Errorf("%s: got %q and surely %q, want it shown and not surely", html, got, surely.Text)
		}
	}
}
