/** A command as Compose splits one: words, single and double quotes, backslashes; nothing is expanded. Undefined: a quote is not closed. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const letter = text[i] ?? '';
    if (letter === '\\' && quote !== "'") word = (word ?? '') + (text[++i] ?? '');
    else if (letter === quote) quote = '';
    else if (quote !== '') word = (word ?? '') + letter;
    else if (letter === '"' || letter === "'") {
      quote = letter;
      word ??= '';
    } else if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + letter;
  }
  if (word !== undefined) words.push(word);
  return quote === '' ? words : undefined;
}
