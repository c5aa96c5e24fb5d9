// A picture file as a data URL: what the file calls itself does not matter, the server looks at the bytes.
const LARGEST = 8192, REDUCED = 1024;

const pictureUrl = async (file) => (await reduced(file)) ?? (await dataUrl(file, "image/png"));

// A photograph of a phone is larger than the server takes: the browser makes it smaller first.
async function reduced(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  const side = bitmap ? Math.max(bitmap.width, bitmap.height) : 0;
  if (side <= REDUCED || side > LARGEST) return null;
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round((bitmap.width / side) * REDUCED));
  small.height = Math.max(1, Math.round((bitmap.height / side) * REDUCED));
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high"; // otherwise fine lines come out as no network learned them
  context.drawImage(bitmap, 0, 0, small.width, small.height);
  return small.toDataURL("image/png");
}

// The middle square of a picture or of a film, a little larger than the network sees it, as a JPEG that is quickly sent.
function squareOf(source, width, height, side) {
  const small = document.createElement("canvas"), from = Math.min(width, height);
  small.width = small.height = Math.min(from, 2 * side);
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, (width - from) / 2, (height - from) / 2, from, from, 0, 0, small.width, small.height);
  return small.toDataURL("image/jpeg", 0.92);
}
