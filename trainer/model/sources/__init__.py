"""Where models come from: torchvision, small ResNets, timm, and files of one's own."""
