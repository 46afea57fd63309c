package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// What is here was written when the fingerprint was done: it was chosen on the other
// letters, and these say what it is worth on letters that it does not know.

var later = []letter{
	{name: "amende", form: htmlOnly, charset: "utf-8", encoding: "base64", greeting: "Madame, Monsieur", subject: "Avis de contravention n° 7730184521", text: `@
Vous avez fait l'objet d'un avis de contravention pour un stationnement gênant constaté le 18/11/2026 à 11:42. À ce jour, nous n'avons reçu aucun paiement.
Le montant minoré de 35 € peut être réglé jusqu'au 27 novembre. Passé cette date, l'amende sera portée à 135 € puis majorée, et le Trésor public procédera à son recouvrement.
-> Régler mon amende | https://amendes-paiement.example/avis
Munissez-vous de votre carte bancaire et du numéro de l'avis indiqué en objet de ce message.`},
	{name: "panneaux solaires", form: plain, charset: "iso-8859-1", encoding: "quoted-printable", greeting: "Bonjour", subject: "Votre toiture peut vous rapporter 1 300 euros par an", text: `@
Les aides aux panneaux solaires changent au 1er janvier : il vous reste quelques semaines pour bénéficier de la prime actuelle et de la TVA réduite.
Nos conseillers étudient gratuitement l'exposition de votre toit, votre consommation et le montant des subventions auxquelles vous avez droit. Une installation de 6 kW se rembourse en 8 ans en moyenne, et le matériel est garanti 25 ans.
Pour être rappelé, il suffit de répondre avec votre code postal et la surface approximative de la toiture. L'étude est sans engagement, nous intervenons dans toute la région.
Très cordialement,
Hélène Roussel
Soleil de l'Ouest`},
	{name: "bourse aux vélos", form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: "Chers adhérents", subject: "Bourse aux vélos : déposez avant samedi", text: `@
La bourse aux vélos d'hiver se tiendra dans la halle du marché. Vous pouvez déposer jusqu'à trois vélos par famille le vendredi de 16 h à 20 h ; les réparateurs bénévoles vérifieront les freins et l'éclairage.
L'association garde 10 % du prix de vente pour financer l'atelier participatif et les sorties scolaires. Les vélos invendus sont à reprendre dimanche avant midi.
-> Remplir la fiche de dépôt | https://velos-en-ville.example/depot
Nous cherchons encore une douzaine de personnes pour tenir les stands, installer les barrières et servir le café. Merci à celles et ceux qui ont déjà répondu !
Le comité`},
	{name: "gift card", form: htmlOnly, charset: "utf-8", encoding: "7bit", greeting: "Congratulations", subject: "Your 500 dollar gift card is waiting", text: `@
You have been selected to take part in our anonymous shopper survey. It takes less than two minutes and as a thank you we will send you a gift card worth 500 dollars.
Answer 8 short questions about your favourite supermarket, choose where the card should be sent, and pay only for postage.
-> Start the survey | https://shopper-panel.example/survey
Hurry, there are just 3 cards left in your town and this invitation will be given to somebody else at midnight.`},
	{name: "translation", form: plain, charset: "utf-8", encoding: "8bit", greeting: "Hi there", subject: "Translations by native speakers from 0.06 per word", text: `@
I run a small translation office with eleven native speakers who cover German, Spanish, Italian, Dutch and Polish. We have been translating manuals, contracts and websites for engineering firms since 2009.
Could we be of help with anything you are about to publish? Send me a page and you will have a free sample back by tomorrow evening, together with a fixed price and a delivery date for the whole text.
Our customers stay with us because a second translator reads everything before it goes out, and because I answer the phone myself.
Warm regards,
Ingrid Vogel, Vogel Translations, Hamburg`},
	{name: "tax refund", form: alternative, charset: "iso-8859-1", encoding: "quoted-printable", greeting: "Dear taxpayer", subject: "Refund notification: 642.18", text: `@
After the last annual calculation of your fiscal activity we have determined that you are eligible to receive a tax refund of 642.18.
Please submit the refund request and allow three to six days for it to be processed. A refund can be delayed for a number of reasons, for example when records are invalid or when the form is filed after the deadline.
-> Access the refund form | https://tax-office-refund.example/form
For security reasons the link stops working after 24 hours. Case officer 4471, department of revenue.`},
}

var laterSets = []honest{
	{"*order confirmations, English*", orderEnglish},
	{"*a garage's \"your car is ready\"*", garage},
	{"*a school's answers to parents*", school},
	{"*letters of a notary, disclaimer*", notary},
	{"*letters of a solicitor, disclaimer*", solicitor},
	{"*a hairdresser's reminders, English*", hairdresser},
}

func orderEnglish(r *rand.Rand, i int) letter {
	var lines []string
	for _, p := range some(r, garden, 1+r.IntN(4)) {
		lines = append(lines, fmt.Sprintf("%s, quantity %d, %d.%02d", p, 1+r.IntN(4), 2+r.IntN(60), r.IntN(100)))
	}
	return letter{form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: "Hi " + pick(r, firstNames), subject: fmt.Sprintf("Order %d is on its way", 3300+i), text: fmt.Sprintf(`@
Good news, we have packed your order %d and handed it to the carrier. Here is what is in the box:
%s
It goes to %d %s Street, %s. Most parcels arrive within three working days.
-> Track your parcel | https://www.thyme-and-trowel.example/track/%x
Thank you for supporting a small family business,
Thyme and Trowel`, 3300+i, strings.Join(lines, "\n"), 1+r.IntN(200), pseudoWord(r), pseudoWord(r), r.Uint64())}
}

var garden = strings.Split("copper plant labels;hazel bean poles;lavender seedlings;galvanised watering can;leather pruning gloves;bird feeder with oak roof;mixed crocus bulbs;sharpening stone;willow trug;terracotta saucers;slug collars;beeswax polish;jute twine;compost thermometer;folding saw", ";")

func garage(r *rand.Rand, _ int) letter {
	return letter{form: plain, charset: "utf-8", encoding: "8bit", greeting: "Bonjour " + someone(r), subject: "Votre véhicule est prêt", text: fmt.Sprintf(`@
Votre %s immatriculée %c%c-%03d-%c%c est prête. Nous avons fait : %s. Kilométrage : %d.
Le montant est de %s. Vous pouvez la reprendre jusqu'à 18 h 30, la clé est à l'accueil.
Garage du Viaduc, 04 70 11 22 33`, pick(r, []string{"Clio", "Kangoo", "Golf", "Panda", "Yaris", "Berlingo", "Corsa", "Sandero"}), 'A'+rune(r.IntN(26)), 'A'+rune(r.IntN(26)), r.IntN(1000), 'A'+rune(r.IntN(26)), 'A'+rune(r.IntN(26)),
		strings.Join(some(r, repairs, 2+r.IntN(3)), ", "), 20000+r.IntN(180000), amount(r))}
}

var repairs = strings.Split("vidange et filtre à huile;plaquettes avant;géométrie;remplacement de la batterie;courroie de distribution;contrôle technique;deux pneus hiver;recharge de climatisation;ampoule de feu arrière;amortisseurs;bougies;joint de culasse;débosselage de l'aile droite", ";")

func school(r *rand.Rand, _ int) letter {
	return letter{form: alternative, charset: "utf-8", encoding: "base64", greeting: "Bonjour " + someone(r), subject: "Re: " + pick(r, []string{"absence de ", "bulletin de ", "cantine ", "sortie scolaire ", "inscription "}) + pick(r, firstNames), text: "@\n" + sentences(r, parents, 1+r.IntN(3)) + `
Bien cordialement,
Le secrétariat du collège Jean-Macé
3 rue de l'Abbaye - 03 80 11 22 33
Rappel : les portes ouvrent à 7 h 45. Toute absence doit être signalée par le carnet ou par téléphone avant 9 h.`}
}

var parents = strings.Split("L'absence du # est bien enregistrée.;Il manque le certificat médical.;Le professeur principal, $, vous appellera cette semaine.;La cantine sera remboursée sur la prochaine facture.;Le car part à # h du parking des sports.;Votre enfant a été changé de groupe en anglais.;Le bulletin sera remis en main propre le #.;Merci de rapporter les livres de l'an dernier.;L'infirmière l'a gardé une heure, tout va mieux.;La retenue de $ est annulée.;Il reste # places pour le voyage à Rome.;Le casier porte le numéro #.;Nous avons retrouvé son manteau.;Le code de la messagerie a été renouvelé.;Le conseil de classe est fixé au #.;La psychologue reçoit le mardi.;Le dossier de bourse est complet.", ";")

func notary(r *rand.Rand, _ int) letter {
	return letter{form: htmlOnly, charset: "utf-8", encoding: "quoted-printable", greeting: pick(r, []string{"Maître", "Cher Monsieur", "Chère Madame", "Bonjour"}), subject: pick(r, []string{"Dossier ", "Vente ", "Succession ", "Re: Vente "}) + pseudoWord(r), text: "@\n" + sentences(r, deeds, 1+r.IntN(3)) + `
Je vous prie de croire à l'assurance de mes sentiments dévoués.
Étude de Maîtres Garnier et Delorme, notaires associés
8 place de la Préfecture - 87000 Limoges - www.garnier-delorme.example
Afin de lutter contre la fraude, nos coordonnées bancaires ne sont jamais modifiées par courriel : appelez l'étude avant tout virement.
Les informations contenues dans ce message sont confidentielles et couvertes par le secret professionnel ; elles sont destinées à l'usage exclusif de la personne à qui il est adressé.`}
}

var deeds = strings.Split("Le compromis est prêt à être signé.;Il nous manque l'état civil de $.;La mairie a renoncé à son droit de préemption.;Le géomètre passera le #.;La banque a confirmé le déblocage des fonds.;Pouvez-vous m'adresser le dernier procès-verbal de copropriété ?;Le diagnostic de plomb date de plus de # ans.;La signature est reportée à la semaine #.;L'usufruit revient à $.;Je reçois les héritiers le #.;Le cadastre indique une surface différente.;La procuration de $ doit être légalisée.;Les clés seront remises contre le chèque de solde.;Le testament a été déposé en #.;Le vendeur accepte de laisser la cuisine équipée.;La servitude de passage figure à la page #.", ";")

func hairdresser(r *rand.Rand, _ int) letter {
	return letter{form: plain, charset: "utf-8", encoding: "7bit", greeting: "Hi " + pick(r, firstNames), subject: "See you soon", text: fmt.Sprintf(`@
This is a reminder of your appointment with %s on %s %d %s at %d:%02d %s. If you cannot make it, please let us know a day before on 0117 496 0101 so that somebody else can have your place.
The team at Clifton Cuts`, pick(r, []string{"Anna", "Joe", "Priya"}), pick(r, []string{"Tuesday", "Wednesday", "Thursday", "Friday"}), 1+r.IntN(28), pick(r, []string{"November", "December"}), 1+r.IntN(6), 15*r.IntN(4), "pm")}
}

func solicitor(r *rand.Rand, _ int) letter {
	return letter{form: alternative, charset: "windows-1252", encoding: "quoted-printable", greeting: pick(r, []string{"Dear Mrs ", "Dear Mr ", "Dear "}) + pick(r, firstNames), subject: pick(r, []string{"Lease of ", "Re: Estate of ", "Sale to ", "RE: "}) + pseudoWord(r), text: "@\n" + sentences(r, matters, 1+r.IntN(3)) + `
Kind regards
Fiona Abernethy
Partner, Abernethy Moss LLP
14 Castle Terrace, Edinburgh - direct line 0131 496 0102
Abernethy Moss LLP is authorised and regulated by the Law Society of Scotland. A list of members is open to inspection at our registered office.
The contents of this email are confidential to the intended recipient and may be legally privileged. If it has reached you in error please tell the sender at once and delete it. We accept no liability for viruses. We will never change our bank details by email.`}
}

var matters = strings.Split("The tenant has agreed to the new schedule.;Please sign where marked and return it in the envelope.;I spoke to $ this morning and she is content.;The searches came back clear.;We are still waiting for the lender's instructions.;Completion is now set for the #th.;The surveyor found damp in the rear extension.;Could you let me have your passport and a recent utility bill?;$ has instructed another firm.;The deed was lodged on the #th.;I attach nothing today but will write again next week.;The court has listed the hearing for # minutes.;Your deposit is held in our client account.;There is a right of way along the northern boundary.;The other side asks for # more days.;Probate should be granted within # weeks.;I have redrafted clause #.", ";")
