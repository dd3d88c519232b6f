"""What is shown in the page's place to who has not come in yet."""

from __future__ import annotations


def page(logins: bool) -> str:
    """The page that asks for a login, or for a key."""
    asked = "Log in to this server." if logins else "This server needs an API key."
    user = '<input id="u" autocomplete="username" aria-label="Name" placeholder="Name" required autofocus>'
    secret = '<input id="k" type="password" autocomplete="current-password" aria-label="{}" placeholder="{}" required>'
    fields = user + secret.format("Password", "Password") if logins else secret.format("API key", "API key")
    return _PAGE.replace("ASKED", asked).replace("FIELDS", fields)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>SAM3 UI</title><style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;display:grid;
place-items:center;min-height:100vh;margin:0}form{display:grid;gap:10px;width:min(340px,90vw)}input,button{font:inherit;
padding:9px 12px;border-radius:6px;border:1px solid #8888}p{margin:0;min-height:1.5em}</style>
<main><form><h1 style="font-size:20px;margin:0">SAM3 UI</h1><label for="k">ASKED</label>FIELDS<button>Open</button>
<p role="alert" id="m"></p></form></main><script>const $=id=>document.getElementById(id);
document.querySelector("form").onsubmit=async e=>{e.preventDefault();
const body=$("u")?{username:$("u").value,password:$("k").value}:{api_key:$("k").value};
const headers={"content-type":"application/json"};
const r=await fetch("api/v1/login",{method:"POST",headers,body:JSON.stringify(body)});
if(r.ok)location.reload();else $("m").textContent=(await r.json()).detail}</script></html>"""
