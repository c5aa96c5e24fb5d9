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
