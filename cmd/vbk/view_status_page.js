// The page works without this: it says how old it is, and finds machines by name.
const made = new Date(document.querySelector("time").dateTime)
const hours = Math.floor((Date.now() - made) / 3600000)
if (hours >= 24) {
  const stale = document.getElementById("stale")
  stale.textContent = `This page is ${Math.floor(hours / 24)} days old. It does not say how things are now.`
  stale.hidden = false
}
const find = document.getElementById("find")
if (find) {
  const cards = [...document.querySelectorAll("details.machine")].map(card => [card, card.querySelector("summary").textContent.toLowerCase()])
  find.parentElement.hidden = false
  find.addEventListener("input", () => {
    const word = find.value.trim().toLowerCase()
    for (const [card, text] of cards) card.hidden = !text.includes(word)
  })
}
