"""A person with a browser at Keycloak's pages: opens one, logs in, and agrees to what is asked.

usage: keycloak_person.py URL USER PASSWORD [agree|refuse]
"""

import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Form(HTMLParser):
    """The first form of a page: where it goes, and its fields."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.buttons, self.inside = None, {}, [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.inside = of["action"], True
        elif tag in ("input", "button") and self.inside and of.get("name"):
            if of.get("type") == "submit":
                self.buttons.append(of["name"])
            elif of.get("type") != "checkbox":
                self.fields[of["name"]] = of.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False


class Browser:
    """Keeps cookies, those for https as well: to a browser, this machine is as good."""

    def __init__(self):
        self.cookies, self.opener = {}, urllib.request.build_opener(NoRedirect)

    def open(self, url, form=None):
        for _ in range(20):
            body = None if form is None else urllib.parse.urlencode(form).encode()
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            request = urllib.request.Request(url, body, {"cookie": cookie} if cookie else {})
            try:
                answer = self.opener.open(request)
            except urllib.error.HTTPError as error:
                answer = error
            for header in answer.headers.get_all("set-cookie") or []:
                name, value = header.split(";")[0].split("=", 1)
                self.cookies[name] = value
            if answer.status not in (301, 302, 303, 307):
                return url, answer.read().decode()
            url, form = urllib.parse.urljoin(url, answer.headers["location"]), None
        raise SystemExit("it is redirected for ever")


def main(url, user, password, what="agree"):
    browser = Browser()
    url, page = browser.open(url)
    form = Form(page)
    if "password" not in form.fields:
        raise SystemExit(f"no page to log in: {page}")
    fields = {"username": user, "password": password, "credentialId": ""}
    url, page = browser.open(urllib.parse.urljoin(url, form.action), fields)
    form = Form(page)
    if form.action and "accept" in form.buttons:
        button = "accept" if what == "agree" else "cancel"
        url, page = browser.open(urllib.parse.urljoin(url, form.action), {**form.fields, button: "Yes"})
    print(url)
    print(page)


if __name__ == "__main__":
    main(*sys.argv[1:])
