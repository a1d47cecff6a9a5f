"""Loaders to measure beside each other, one module each, with one function in common:

    batches(task) -> iterator of (images, labels)

Images are uint8 tensors (B, 3, 224, 224). Pixels are "equal" where windows are drawn as
torchvision's ``RandomResizedCrop`` draws them, decoded as libjpeg-turbo does by default, resized in
RGB, bilinearly and antialiased, and half of them flipped: then two loaders differ by rounding.

Nobody normalizes. In uint8 a batch is four times smaller on its way to the device, where the
model's first operation normalizes it for less than anyone could before. That spares most those
peers whose batches go from process to process.

A module loads what it needs when it is called: most run in the peers' own environment.
"""
