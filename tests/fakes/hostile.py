"""What a row may say to a careless page, console or table."""

HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "\u202egnp.exe\u202c \u2066hidden\u2069",
    "javascript:alert(1) </textarea><svg/onload=alert(1)>",
    "w" * 1_000_000,
]
