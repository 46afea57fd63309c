package bypass

import (
	"fmt"
	"strings"
)

// offer is a campaign's letter, anchor the way out of it that is to be hidden.
const (
	offer  = "<p>Portes ouvertes samedi prochain: venez d\u00e9couvrir nos nouvelles cuisines en ch\u00eane massif.</p>"
	target = "https://client-a.example/stop?id=1"
	anchor = `<a href="` + target + `">Se d&eacute;sabonner</a>`
)

// hidingStyles are declarations after which nothing of the element is seen, in a browser
// at least.
var hidingStyles = []string{
	"display:none", "visibility:hidden", "visibility:collapse", "opacity:0", "opacity:.01", "opacity:0%", "opacity:calc(0)", "opacity:1e-9", "opacity:-1",
	"font-size:0", "font-size:0px", "font-size:0.4px", "font-size:1e-3px", "font-size:calc(0px)", "font-size:0vmax", "font-size:0lh", "font-size:min(0px,12px)", "font:0/0 a", "font-size:.01em", "font-size:1%",
	"color:#fff", "color:white", "color:rgb(255 255 255)", "color:rgb(100%,100%,100%)", "color:hsl(120,50%,100%)", "color:hwb(0 100% 0%)", "color:lab(100% 0 0)", "color:oklch(1 0 0)", "color:oklab(100% 0 0)",
	"color:color(srgb 1 1 1)", "color:color-mix(in srgb,white,white)", "color:light-dark(white,white)", "color:canvas", "color:Window", "color:transparent", "color:#ffff", "color:#0000", "color:rgba(0,0,0,0)", "color:rgb(0 0 0/0%)",
	"color:white;background:#fff", "color:#fefefe", "--c:#fff;color:var(--c)", "color:var(--undefined,#fff)", "-webkit-text-fill-color:transparent", "-webkit-text-fill-color:#fff",
	"color:#000;background:#000", "color:#123456;background-color:#123456", "color:red;background-color:currentcolor", "color:#fff;background-image:linear-gradient(#fff,#fff)", "color:#000;background:linear-gradient(#000,black)",
	"height:0;overflow:hidden;display:block", "max-height:0;overflow:hidden;display:block", "height:1px;overflow:hidden;display:block", "height:2px;overflow:hidden;display:block", "width:0;overflow:hidden;display:block;white-space:nowrap",
	"height:0;overflow:auto;display:block", "max-height:calc(0px);overflow:hidden;display:block", "max-width:0;overflow:clip;display:inline-block;white-space:nowrap", "height:0;overflow:visible hidden;display:block", "max-block-size:0;overflow:hidden;display:block", "block-size:0;overflow:hidden;display:block",
	"inline-size:0;overflow:hidden;display:block;white-space:nowrap", "height:0;overflow-y:hidden;display:block", "height:0;contain:strict;display:block",
	"position:absolute;left:-9999px", "position:absolute;top:-9999px", "position:fixed;left:-9999px", "position:absolute;right:9999px", "position:absolute;bottom:9999px", "position:relative;left:-9999px", "position:relative;right:9999px",
	"position:relative;top:-9999px", "position:relative;bottom:9999px", "position:absolute;inset:-9999px auto auto -9999px", "position:absolute;left:calc(-9999px)", "position:absolute;left:-999em", "position:absolute;left:-200vw", "position:absolute;inset-inline-start:-9999px", "position:fixed;left:200%", "position:fixed;top:200%",
	"display:block;margin-left:-9999px", "display:block;margin:0 0 0 -9999px", "display:block;margin:-9999px", "display:block;margin-top:-9999px", "display:block;margin-inline-start:-9999px", "display:block;text-indent:-9999px", "display:block;text-indent:-9999px;overflow:hidden", "display:block;text-indent:calc(-9999px)", "display:block;text-indent:-999em",
	"position:absolute;clip:rect(0,0,0,0)", "position:absolute;clip:rect(1px,1px,1px,1px)", "position:absolute;clip:rect(0 0 0 0)", "position:absolute;clip:rect(5px,5px,5px,5px)", "clip-path:inset(100%)", "clip-path:inset(50%)", "clip-path:circle(0)", "clip-path:polygon(0 0,0 0,0 0)", "-webkit-clip-path:inset(100%)",
	"display:block;transform:scale(0)", "display:block;transform:scale(0,1)", "display:block;transform:scaleX(0)", "display:block;transform:scaleY(0)", "display:block;transform:scale(.001)", "display:block;transform:translateX(-9999px)", "display:block;transform:translate(-9999px,0)", "display:block;transform:translateY(-9999px)", "display:block;transform:matrix(0,0,0,0,0,0)",
	"display:block;transform:rotateX(90deg)", "display:block;transform:rotateY(90deg)", "display:block;transform:rotate(0) scale(0)", "display:block;-webkit-transform:scale(0)", "display:block;scale:0", "display:block;translate:-9999px", "display:block;rotate:x 90deg", "zoom:.01", "display:block;transform:translate3d(-9999px,0,0)", "display:block;transform:scale3d(0,0,0)",
	"filter:opacity(0)", "filter:opacity(0%)", "display:inline-block;filter:brightness(100) invert(0) contrast(0) brightness(100)", "-webkit-mask-image:linear-gradient(transparent,transparent)", "mask:linear-gradient(transparent,transparent)", "display:block;content-visibility:hidden",
	"display:inline-block;mix-blend-mode:lighten", "display:block;animation:gone 1ms forwards",
}

// hidingPlaces are where a way out is not seen, or leads nowhere; %s is the way out.
var hidingPlaces = []string{
	"<!-- %s -->", "<template>%s</template>", "<title>%s</title>", "<noframes>%s</noframes>", "<noembed>%s</noembed>", "<iframe>%s</iframe>", "<script>%s</script>", "<style>%s</style>", "<textarea hidden>%s</textarea>",
	"<dialog>%s</dialog>", "<details><summary>x</summary>%s</details>", "<video>%s</video>", "<audio>%s</audio>", "<canvas>%s</canvas>", "<datalist>%s</datalist>", "<div hidden>%s</div>", "<div hidden=until-found>%s</div>",
	"<object data='data:text/html,x' type=text/html>%s</object>", "<svg><defs><text>%s</text></defs></svg>", "<svg><title>%s</title></svg>", "<svg><desc>%s</desc></svg>", "<svg width=0 height=0><foreignObject>%s</foreignObject></svg>", "<math><annotation>%s</annotation></math>", "<progress>%s</progress>", "<meter>%s</meter>",
	"<select><option>%s</option></select>", "<ruby>x<rp>%s</rp></ruby>", "<table bgcolor=#0000ee><tr><td>%s</td></tr></table>", "<param name=x value='%s'>", "<input type=hidden value='%s'>",
}

// deadLinks lead nowhere, or nobody sees them.
var deadLinks = []string{
	`<a href="#">Se d&eacute;sabonner</a>`, `<a href="">Se d&eacute;sabonner</a>`, `<a>Se d&eacute;sabonner</a>`, `<a href="javascript:void(0)">Se d&eacute;sabonner</a>`, `<a href=" JavaScript:x">Se d&eacute;sabonner</a>`,
	`<a href="java&#9;script:x">Se d&eacute;sabonner</a>`, `<a href="data:text/html,x">Se d&eacute;sabonner</a>`, `<a href="about:blank">Se d&eacute;sabonner</a>`, `<a href="file:///x">Se d&eacute;sabonner</a>`, `<a href="/stop">Se d&eacute;sabonner</a>`,
	`<a href="stop.html">Se d&eacute;sabonner</a>`, `<a href="mailto:">Se d&eacute;sabonner</a>`, `<a href="mailto:?subject=stop">Se d&eacute;sabonner</a>`, `<a href="mailto:nobody">Se d&eacute;sabonner</a>`, `<a href="https://">Se d&eacute;sabonner</a>`, `<a href="http:">Se d&eacute;sabonner</a>`,
	`<a href="tel:+33123456789">Se d&eacute;sabonner</a>`, `<a href="{{unsubscribe}}">Se d&eacute;sabonner</a>`, `<a href="https://{{host}}/stop">Se d&eacute;sabonner</a>`, `<a href="https://localhost/stop">Se d&eacute;sabonner</a>`, `<a href="https://127.0.0.1/stop">Se d&eacute;sabonner</a>`, `<a href="http://[::1]/stop">Se d&eacute;sabonner</a>`, `<a href="https://192.168.1.1/stop">Se d&eacute;sabonner</a>`, `<a href="cid:x">Se d&eacute;sabonner</a>`,
	`<a href="` + target + `"></a>`, `<a href="` + target + `"> &nbsp; </a>`, `<a href="` + target + `">&#8203;</a>`, `<a href="` + target + `"><img src=x alt="Se d&eacute;sabonner" width=1 height=1></a>`, `<a href="` + target + `"><img src=x alt="Se d&eacute;sabonner" style="display:none"></a>`,
	`<a name="` + target + `">Se d&eacute;sabonner</a>`, `<map name=m><area href="` + target + `" alt="Se d&eacute;sabonner"></map>`, `<link rel=unsubscribe href="` + target + `">`, `<span title="Se d&eacute;sabonner: ` + target + `">x</span>`,
	`<form action="` + target + `"><input type=hidden value="Se d&eacute;sabonner"></form>`, `<span href="` + target + `">Se d&eacute;sabonner</span>`, `<a href="` + target + `" hidden>Se d&eacute;sabonner</a>`, `Vous pouvez vous d&eacute;sabonner.`, `<button type=button>Se d&eacute;sabonner</button>`,
}

// sheetSelectors select the link, which is the last thing in <div class=f id=g>, the
// first linkSelectors of them, and then what it stands in.
var sheetSelectors = []string{".u", "#v", "a", "a.u", "a#v", ".f a", ".f .u", "#g a", "div a", "div > a", "div>.u", "p + div a", "p ~ div > a", ".f a.u", "a.u#v", ".u.w", "a[href]", "a[href*=stop]", "[class~=u]", "a:link", "a:any-link", "a:not(.x)",
	"a:last-child", "a:nth-of-type(1)", "div a:first-of-type", ":is(a)", ":where(.u)", "body a", "html body .u", "* a", ".f > *", "a:not(:hover)", ".f", "#g", "div.f", "body > div", "p ~ div", "div:last-of-type", "body .f:has(a)"}

const linkSelectors = 29

// sheetFrames hold a rule for every screen.
var sheetFrames = []string{"%s", "@media all{%s}", "@media screen{%s}", "@media (min-width:1px){%s}", "@media screen and (min-width:0){%s}", "@media not print{%s}", "@media all and (color){%s}", "@media (max-width:99999px){%s}", "@supports (display:block){%s}", "@layer x{%s}",
	"@media print{.q{color:red}}%s", "@import 'x';%s", "/* } */%s", "<!-- %s -->", "@charset 'x';%s", "@font-face{font-family:x}%s", ".q{}%s", "@media screen{@media all{%s}}", "@namespace x 'y';%s"}

// letter is one with the way out behind it.
func letter(style, wayOut string) string {
	return "<html><head><style>@keyframes gone{to{opacity:0}}" + style + "</style></head><body>" + offer + wayOut + "</body></html>"
}

// styled is the way out with a style on it or around it, said in other words.
func (g forge) styled(css string) string {
	ofLink := strings.Contains(css, "color") // a link has a color of its own
	css = g.inOtherWords(css)
	link := func(attr string) string { return strings.Replace(anchor, "<a ", "<a class='u w' id=v "+attr+" ", 1) }
	attr := `style="` + strings.ReplaceAll(css, `"`, "'") + `"`
	way := g.IntN(4)
	if ofLink {
		way *= 3 // 0 or 3
	}
	switch way {
	case 0:
		return letter("", `<div class=f id=g>`+link(attr)+"</div>")
	case 1:
		return letter("", "<div "+attr+">"+link("")+"</div>")
	case 2:
		return letter("", "<div "+attr+"><b><i>"+link("")+"</i></b></div>")
	}
	selectors := sheetSelectors
	if ofLink {
		selectors = selectors[:linkSelectors]
	}
	selector := g.one(selectors...)
	return letter(fmt.Sprintf(g.one(sheetFrames...), selector+"{"+css+"}"), `<div class=f id=g>`+link("")+"</div>")
}

// inOtherWords is the same CSS, written otherwise.
func (g forge) inOtherWords(css string) string {
	if g.chance(20) {
		css = important(css)
	}
	if g.chance(20) {
		css = strings.ReplaceAll(css, ":", g.one(" : ", ":/**/", "\n:\t"))
	}
	if g.chance(20) {
		css = strings.ReplaceAll(css, ";", g.one(" ; ", ";;", ";\n", ";/*;*/"))
	}
	// A blank behind an escape belongs to it.
	if i := g.IntN(len(css)); g.chance(20) && 'a' <= css[i] && css[i] <= 'z' && !strings.HasPrefix(css[i+1:], " ") {
		css = css[:i] + fmt.Sprintf(`\%06x`, css[i]) + css[i+1:]
	}
	if g.chance(30) {
		css = g.one("x:y;", "/* ; : } */", "{a:b};", "display:nonsense;", "top", "\n", "color", "opacity:;") + g.one(";", "; ;") + css + g.one("", ";", "; ", ";x", ";/*")
	}
	return css
}

// important marks each declaration.
func important(css string) string {
	if strings.Contains(css, "!") || strings.Contains(css, "--") {
		return css
	}
	return strings.ReplaceAll(strings.TrimSuffix(css, ";"), ";", "!important;") + " ! important"
}

// revealing are rules after which the paragraphs are seen, in a browser at least, though
// simple reading says they are not: so a letter would hide from who counts it.
var revealing = []string{
	"p{display:none} body p{display:block}", "p{display:none} div p{display:block}", "p{display:none} div>p{display:block}", "p{display:none} p:first-child{display:block}", "p{display:none} p[class]{display:block}",
	"p{display:none} .q.p{display:block}", "p{display:none} p.p#q{display:block}", "p{display:none} :is(p){display:block!important}", "p{display:none} @media (min-width:1px){p{display:block}}", "p{display:none} @media (min-width:500px){p{display:block}}",
	"p{display:none} @supports (display:block){p{display:block}}", "p{display:none} div{p{display:block}}", "p{display:none} div{& p{display:block}}", "p{display:none;display:ruby}", "p{display:none;display:block flow}", "p{display:none;display:var(--x,block)}", "p{display:none;all:initial}",
	"p{font-size:0;font-size:16vmin}", "p{font-size:0;font-size:calc(16px)}", "p{font-size:0;font-size:1e1px}", "p{font-size:0;font-size:var(--x,16px)}", "p{font-size:0;font-size:clamp(10px,2vw,20px)}", "p{font-size:0;font-size:16Q}",
	"p{opacity:0;opacity:calc(1)}", "p{opacity:0;opacity:var(--x,1)}", "p{visibility:hidden;visibility:var(--x,visible)}", "p{color:#fff;color:oklch(0 0 0)}", "p{color:#fff;color:var(--x,#000)}", "p{color:#fff;color:canvastext}", "p{color:#fff;-webkit-text-fill-color:#000}",
	"p{height:0;overflow:hidden;height:calc(50px)}", "p{height:0;overflow:hidden;height:3lh}", "p{max-height:0;overflow:hidden;max-height:var(--x,99px)}", "p{position:absolute;left:-9999px;left:calc(1px)}", "p{text-indent:-9999px;text-indent:calc(0px)}", "p{text-indent:-9999px;text-indent:var(--x,0)}",
	"p{transform:scale(0);transform:scale(1)}", "p{position:absolute;left:-9999px;translate:9999px}", "p{opacity:0;animation:shown 1ms forwards}", "p{visibility:hidden;animation:shown 1ms forwards}", "}p{display:none}",
}
